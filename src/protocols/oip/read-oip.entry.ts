import { readBodies } from '../../predictions/read-bodies';
import { readOip } from './read-oip';

// A thread of OipReader.
readBodies(readOip);
