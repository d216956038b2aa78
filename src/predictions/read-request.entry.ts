import { readBodies } from './read-bodies';
import { readRequest } from './read-request';

// A thread of RequestReader.
readBodies(readRequest);
