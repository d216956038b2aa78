"""Trains three small models of scikit-learn and writes them as ONNX beside what they predict."""
import json
import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder = Path(sys.argv[1])


def write(name, model, rows, options, **expected):
    onnx = to_onnx(model, rows[:1], options=options)
    (folder / f"{name}.onnx").write_bytes(onnx.SerializeToString())
    answers = {key: value.tolist() for key, value in expected.items()}
    (folder / f"{name}.json").write_text(json.dumps({"rows": rows.tolist(), **answers}))


flowers, kinds = load_iris(return_X_y=True)
flowers = flowers.astype(np.float32)
names = np.array(["setosa", "versicolor", "virginica"])[kinds]
some = flowers[::7]

pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(flowers, kinds)
boosting = GradientBoostingClassifier(n_estimators=40, random_state=1).fit(flowers, names)
for name, model in [("pipeline", pipeline), ("boosting", boosting)]:
    write(
        name,
        model,
        some,
        {"zipmap": False},
        labels=model.predict(some),
        probabilities=model.predict_proba(some),
    )
(folder / "maps.onnx").write_bytes(to_onnx(pipeline, some[:1]).SerializeToString())

patients, progress = load_diabetes(return_X_y=True)
line = LinearRegression().fit(patients, progress)
write("regression", line, patients[::40], None, values=line.predict(patients[::40]))
