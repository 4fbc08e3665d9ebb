// Greedy tokens of a GGUF by llama.cpp, through node-llama-cpp's prebuilt library.
// node llama_cpp.mjs NODE_MODULES MODEL N: prints the text of N tokens after BOS.
import { pathToFileURL } from "node:url";
import { join, resolve } from "node:path";

const [modules, modelPath, count] = process.argv.slice(2);
const entry = join(resolve(modules), "node-llama-cpp", "dist", "index.js");
const { getLlama } = await import(pathToFileURL(entry).href);
const quiet = { progressLogs: false, logLevel: "error" };
const llama = await getLlama({ gpu: false, build: "never", ...quiet });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({ contextSize: 256, threads: 1 });
const tokens = [];
for await (const token of context.getSequence().evaluate([model.tokens.bos], { temperature: 0 })) {
    tokens.push(token);
    if (tokens.length >= Number(count)) break;
}
process.stdout.write(model.detokenize(tokens));
process.exit(0);
