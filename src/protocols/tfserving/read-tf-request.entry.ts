import { readBodies } from '../../predictions/read-bodies';
import { readTfRequest } from './tf-request';

// A thread of TfRequestReader.
readBodies(readTfRequest);
