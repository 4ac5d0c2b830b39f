// Computes ONNX files with ONNX Runtime, for runtime_test.go.
//
// usage: node run.cjs FOLDER_OF_ONNXRUNTIME_WEB <JOBS >RESULTS
//
// JOBS is a JSON array of {file, columns, raw}, RESULTS one of {outputs, logits,
// probabilities, one}: what the file computes of all rows of raw, and the logits of the
// first row alone.
const fs = require("fs");
const ort = require(process.argv[2]);
ort.env.wasm.numThreads = 1;

async function main() {
  const results = [];
  for (const job of JSON.parse(fs.readFileSync(0))) {
    const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(job.file)), { executionProviders: ["wasm"] });
    const rows = async (values) =>
      session.run({ features: new ort.Tensor("float32", Float32Array.from(values), [values.length / job.columns, job.columns]) });
    const all = await rows(job.raw);
    const one = await rows(job.raw.slice(0, job.columns));
    results.push({
      outputs: [...session.outputNames],
      logits: [...all.logits.data],
      probabilities: [...all.probabilities.data],
      one: [...one.logits.data],
    });
  }
  process.stdout.write(JSON.stringify(results));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
