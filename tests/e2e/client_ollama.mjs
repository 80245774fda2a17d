// The published Node client of Ollama: one line of JSON with what it saw.
import { Ollama } from "ollama";

const [host, key, model, unpulled] = process.argv.slice(2);
const client = new Ollama({ host, headers: key ? { Authorization: `Bearer ${key}` } : {} });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const options = { num_predict: 8, temperature: 0 };
const seen = {};

seen.names = (await client.list()).models.map((one) => one.name);
seen.whole = (await client.chat({ model, messages, options })).message.content;
seen.streamed = "";
for await (const part of await client.chat({ model, messages, options, stream: true })) {
  seen.streamed += part.message.content;
}
seen.generated = (await client.generate({ model, prompt: "Hello", options })).response;
seen.loaded = (await client.ps()).models.map((one) => one.name);

const shown = await client.show({ model });
seen.architecture = shown.model_info["general.architecture"];
seen.capabilities = shown.capabilities;

const schema = {
  type: "object",
  properties: { city: { type: "string", maxLength: 12 }, size: { enum: ["small", "large"] } },
  required: ["city", "size"],
  additionalProperties: false,
};
seen.json = JSON.parse((await client.chat({ model, messages, format: schema })).message.content);

seen.pulled = [];
for await (const part of await client.pull({ model, stream: true })) seen.pulled.push(part.status);

await client.copy({ source: model, destination: "copied" });
seen.copied = (await client.list()).models.some((one) => one.name === "copied:latest");
await client.delete({ model: "copied" });

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.status_code, message: error.message };
  }
}
seen.unknown = await failure(() => client.chat({ model: "nobody", messages }));
seen.unpulled = await failure(() => client.generate({ model: unpulled, prompt: "Hello" }));
seen.unpulledStream = await failure(async () => {
  for await (const part of await client.generate({ model: unpulled, prompt: "Hello", stream: true })) void part;
});
seen.unloaded = (await client.generate({ model, prompt: "", keep_alive: 0 })).done_reason;
console.log(JSON.stringify(seen));
