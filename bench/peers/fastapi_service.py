"""The prediction service that people write in Python, tuned as well as we know how.

Run by predict.bench.ts as `uvicorn fastapi_service:app --workers 2` with the folder of this file
as the working directory. It loads the topology of a TensorFlow.js layers model into Keras (the
weights make no difference to the speed), compiles it with `tf.function`, answers on the thread
pool of FastAPI, and records each prediction with its input in MongoDB before it answers.

Needs Python packages: tensorflow 2.15, fastapi, uvicorn, pymongo, orjson, pillow.
"""

import datetime
import io
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import orjson  # noqa: E402
import tensorflow as tf  # noqa: E402
from bson.binary import Binary  # noqa: E402
from fastapi import FastAPI, Request, Response  # noqa: E402
from fastapi.concurrency import run_in_threadpool  # noqa: E402
from PIL import Image  # noqa: E402
from pymongo import MongoClient, WriteConcern  # noqa: E402

# One core for each of the two workers.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def load_model(path: str) -> tf.keras.Model:
    with open(path, encoding="utf-8") as file:
        topology = json.load(file)["modelTopology"]
    return tf.keras.models.model_from_json(json.dumps(topology.get("model_config", topology)))


model = load_model(os.environ["PEER_MODEL_JSON"])
shape = [size or 1 for size in model.input_shape]
compute = tf.function(
    lambda rows: model(rows, training=False),
    input_signature=[tf.TensorSpec([None, *shape[1:]], tf.float32)],
)
compute(np.zeros(shape, np.float32))

records = (
    MongoClient(os.environ["PEER_MONGODB_URI"], maxPoolSize=50)
    .get_database("bench_peer")
    .get_collection("predictions", write_concern=WriteConcern("majority"))
)
app = FastAPI()


def predict_and_record(rows: np.ndarray, raw: bytes) -> bytes:
    outputs = compute(rows).numpy()
    records.insert_one(
        {
            "input": Binary(raw),
            "outputs": Binary(outputs.tobytes()),
            "shape": list(outputs.shape),
            "createdAt": datetime.datetime.now(datetime.timezone.utc),
        }
    )
    return orjson.dumps({"predictions": outputs.tolist()})


def predict_json(body: bytes) -> bytes:
    rows = np.asarray(orjson.loads(body)["instances"], np.float32)
    return predict_and_record(rows, rows.tobytes())


def predict_image(body: bytes) -> bytes:
    image = Image.open(io.BytesIO(body)).convert("RGB").resize(shape[2:0:-1], Image.BILINEAR)
    rows = np.asarray(image, np.float32)[np.newaxis] / 255
    return predict_and_record(rows, body)


@app.post("/predict")
async def predict(request: Request) -> Response:
    body = await request.body()
    is_json = request.headers.get("content-type", "").startswith("application/json")
    answer = await run_in_threadpool(predict_json if is_json else predict_image, body)
    return Response(answer, media_type="application/json")


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ok": True}
