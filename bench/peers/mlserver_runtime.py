"""A TensorFlow model in MLServer, with a record of each prediction.

Run by predict.bench.ts as `mlserver start` with two parallel workers, with and without adaptive
batching. MLServer brings no runtime for TensorFlow, so this is the custom one that its
documentation shows, around the same model as in fastapi_service.py and recorded in the same way.

Needs Python packages: mlserver 1.7, uvloop below 0.22, tensorflow with tf-keras, pymongo.
"""

import asyncio
import datetime
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from bson.binary import Binary  # noqa: E402
from mlserver import MLModel  # noqa: E402
from mlserver.codecs import NumpyCodec  # noqa: E402
from mlserver.types import InferenceRequest, InferenceResponse  # noqa: E402
from pymongo import MongoClient, WriteConcern  # noqa: E402

# One core for each of the two workers.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


class RecordedModel(MLModel):
    async def load(self) -> bool:
        with open(os.environ["PEER_MODEL_JSON"], encoding="utf-8") as file:
            topology = json.load(file)["modelTopology"]
        config = topology.get("model_config", topology)
        model = tf.keras.models.model_from_json(json.dumps(config))
        shape = [size or 1 for size in model.input_shape]
        self.compute = tf.function(
            lambda rows: model(rows, training=False),
            input_signature=[tf.TensorSpec([None, *shape[1:]], tf.float32)],
        )
        self.compute(np.zeros(shape, np.float32))
        self.records = (
            MongoClient(os.environ["PEER_MONGODB_URI"], maxPoolSize=50)
            .get_database("bench_peer")
            .get_collection("predictions", write_concern=WriteConcern("majority"))
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32, copy=False)
        # The loop of the worker goes on meanwhile.
        outputs = await asyncio.to_thread(self.predict_and_record, rows)
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("output", outputs)],
        )

    def predict_and_record(self, rows: np.ndarray) -> np.ndarray:
        outputs = self.compute(rows).numpy()
        now = datetime.datetime.now(datetime.timezone.utc)
        # A gathered call is as many predictions as it has rows.
        self.records.insert_many(
            [
                {
                    "input": Binary(row.tobytes()),
                    "outputs": Binary(output.tobytes()),
                    "shape": list(output.shape),
                    "createdAt": now,
                }
                for row, output in zip(rows, outputs)
            ],
            ordered=False,
        )
        return outputs
