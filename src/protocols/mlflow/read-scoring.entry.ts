import { readBodies } from '../../predictions/read-bodies';
import { readScoring } from './read-scoring';

// A thread of ScoringReader.
readBodies(readScoring);
