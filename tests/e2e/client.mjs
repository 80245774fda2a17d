// The published Node client of OpenAI against the gateway: one line of JSON with what it saw.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const seen = {};

const options = { model, messages, max_tokens: 16, temperature: 0 };
seen.whole = (await client.chat.completions.create(options)).choices[0].message.content;

seen.streamed = "";
for await (const chunk of await client.chat.completions.create({ ...options, stream: true })) {
  seen.streamed += chunk.choices[0]?.delta?.content ?? "";
}

const long = [{ role: "user", content: "Write a very long story about the sea." }];
const stream = await client.chat.completions.create({ model, messages: long, max_tokens: 4000, stream: true });
for await (const chunk of stream) {
  seen.cancelled = chunk.object;
  break;
}
stream.controller.abort();

const schema = {
  type: "object",
  properties: { city: { type: "string", maxLength: 20 }, size: { enum: ["small", "large"] } },
  required: ["city", "size"],
  additionalProperties: false,
};
const wanted = { type: "json_schema", json_schema: { name: "city", strict: true, schema } };
const answer = await client.chat.completions.create({ model, messages, max_tokens: 200, response_format: wanted });
seen.json = JSON.parse(answer.choices[0].message.content);

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
}
seen.invalid = await failure(() => client.chat.completions.create({ ...options, temperature: 9 }));
seen.unknown = await failure(() => client.chat.completions.create({ ...options, model: "nobody" }));
seen.refused = await failure(() => new OpenAI({ baseURL, apiKey: "fl-wrong", maxRetries: 0 }).models.list());
console.log(JSON.stringify(seen));
