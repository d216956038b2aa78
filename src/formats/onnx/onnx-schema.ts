import { type ProtoSchema } from './proto-tree';

// Field numbers of onnx.proto (IR version 13), as far as a check of a model needs them.

const NOTHING: ProtoSchema = { fields: () => ({}) };

const ENTRY: ProtoSchema = { fields: () => ({ 1: 'text', 2: 'text' }) };

const OPSET: ProtoSchema = { fields: () => ({ 1: 'text', 2: 'int' }) };

const TENSOR: ProtoSchema = {
  fields: () => ({
    1: 'ints',
    2: 'int',
    4: 'bytes',
    5: 'varints',
    6: 'items',
    7: 'varints',
    8: 'text',
    9: 'bytes',
    10: 'bytes',
    11: 'varints',
    13: NOTHING,
    14: 'int',
  }),
};

const SPARSE_TENSOR: ProtoSchema = {
  fields: () => ({ 1: TENSOR, 2: TENSOR, 3: 'ints' }),
  single: [1, 2],
};

const DIMENSION: ProtoSchema = { fields: () => ({ 1: 'int', 2: 'text' }) };
const SHAPE: ProtoSchema = { fields: () => ({ 1: DIMENSION }) };
const TENSOR_TYPE: ProtoSchema = { fields: () => ({ 1: 'int', 2: SHAPE }), single: [2] };

/** Of everything but tensors only that it is there. */
const TYPE: ProtoSchema = {
  fields: () => ({ 1: TENSOR_TYPE, 4: NOTHING, 5: NOTHING, 7: NOTHING, 8: NOTHING, 9: NOTHING }),
  single: [1],
};

const VALUE_INFO: ProtoSchema = { fields: () => ({ 1: 'text', 2: TYPE }), single: [2] };

const ATTRIBUTE: ProtoSchema = {
  fields: () => ({
    1: 'text',
    5: TENSOR,
    6: GRAPH,
    10: TENSOR,
    11: GRAPH,
    22: SPARSE_TENSOR,
    23: SPARSE_TENSOR,
  }),
  single: [5, 6, 22],
};

const NODE: ProtoSchema = {
  fields: () => ({
    1: 'text',
    2: 'text',
    3: 'text',
    4: 'text',
    5: ATTRIBUTE,
    7: 'text',
    8: 'text',
  }),
};

const GRAPH: ProtoSchema = {
  fields: () => ({
    1: NODE,
    5: TENSOR,
    11: VALUE_INFO,
    12: VALUE_INFO,
    15: SPARSE_TENSOR,
  }),
};

const FUNCTION: ProtoSchema = {
  fields: () => ({
    1: 'text',
    4: 'text',
    5: 'text',
    7: NODE,
    9: OPSET,
    10: 'text',
    11: ATTRIBUTE,
    13: 'text',
  }),
};

/** `ModelProto`; what it says of training is not looked at, since nothing here trains. */
export const MODEL: ProtoSchema = {
  fields: () => ({ 1: 'int', 2: 'text', 3: 'text', 7: GRAPH, 8: OPSET, 14: ENTRY, 25: FUNCTION }),
  single: [7],
};
