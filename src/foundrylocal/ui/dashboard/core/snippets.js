// Lines that connect an application, with this service's address, key and model.

const body = (model) => ({ model, messages: [{ role: 'user', content: 'Hello!' }] });

/** @param {{base: string, key: string, model: string}} what `base` ends with /v1 */
export const SNIPPETS = {
  curl: ({ base, key, model }) => `curl ${base}/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify(body(model))}'`,
  Python: ({ base, key, model }) => `from openai import OpenAI  # pip install openai

client = OpenAI(base_url="${base}", api_key="${key}")
answer = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)`,
  JavaScript: ({ base, key, model }) => `const answer = await fetch("${base}/chat/completions", {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: "Bearer ${key}" },
  body: JSON.stringify(${JSON.stringify(body(model))}),
});
console.log((await answer.json()).choices[0].message.content);`,
};

/** A key that may be shown: its beginning and dots. */
export const masked = (key) => (key ? `${key.slice(0, 6)}${'•'.repeat(10)}` : '');
