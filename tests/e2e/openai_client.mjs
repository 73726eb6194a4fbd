// OpenAI's stock SDK for Node over a running service: node openai_client.mjs BASE_URL MODEL EMBEDDER
// Prints what it heard as JSON.
import OpenAI from "openai";

const [baseURL, model, embedder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];
const greedy = { model, temperature: 0, max_tokens: 12 };

const models = [];
for await (const one of await client.models.list()) models.push(one.id);

const whole = await client.chat.completions.create({ ...greedy, messages });

let streamed = "";
let usage = null;
const stream = await client.chat.completions.create({
  ...greedy,
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}

const written = await client.completions.create({ ...greedy, prompt: "Hello" });
const vectors = await client.embeddings.create({ model: embedder, input: ["one", "two"] });

const asked = { model, temperature: 0, max_output_tokens: 12 };
const answered = await client.responses.create({ ...asked, input: "Hello" });
const responding = client.responses.stream({ ...asked, input: "Hello", store: false });
const responded = await responding.finalResponse();

const city = { type: "string", maxLength: 20 };
const parameters = { type: "object", properties: { city }, required: ["city"] };
const called = await client.chat.completions.create({
  model,
  messages,
  temperature: 0,
  tools: [{ type: "function", function: { name: "weather", parameters } }],
  tool_choice: { type: "function", function: { name: "weather" } },
});

const content = "Orlo is a light.";
const sent = await client.files.create({
  file: await OpenAI.toFile(Buffer.from(content), "orlo.txt"),
  purpose: "assistants",
});
const kept = [];
for await (const one of client.files.list()) kept.push(one.id);
const read = await (await client.files.content(sent.id)).text();
const gone = await client.files.delete(sent.id);

let refused = null;
try {
  await client.chat.completions.create({ model: "nobody", messages });
} catch (error) {
  refused = [error.constructor.name, error.status, error.code];
}

console.log(
  JSON.stringify({
    models,
    whole: whole.choices[0].message.content,
    streamed,
    usage,
    answered: answered.output_text,
    responded: responded.output_text,
    written: written.choices[0].text,
    dimensions: vectors.data.map((one) => one.embedding.length),
    called: called.choices[0].message.tool_calls[0].function,
    file: [kept.includes(sent.id), read === content, gone.deleted],
    refused,
  }),
);
