// The events of a stream, by @microsoft/fetch-event-source, which connects again by itself after an
// error, and after an end where it is told that an end is one.

// It is written for pages: what it takes from one, Node has as well, but for the events of a document.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = require("@microsoft/fetch-event-source");

const url = process.argv[2];
let count = Number(process.argv[3]);
const done = new AbortController();

fetchEventSource(url, {
  headers: { Authorization: `Bearer ${process.env.WAKELINE_TOKEN}` },
  signal: done.signal,
  openWhenHidden: true,
  onmessage(message) {
    if (count === 0) return;
    const event = message.event || "message";
    const seen = { event, id: message.id, data: JSON.parse(message.data) };
    process.stdout.write(`${JSON.stringify(seen)}\n`);
    if (event === "message") count -= 1;
    if (count === 0) done.abort();
  },
  onclose() {
    throw new Error("the stream ended");
  },
  onerror(error) {
    process.stderr.write(`${error.message}\n`);
    // A message that cannot be read will not get better; everything else is tried again.
    if (error instanceof SyntaxError) throw error;
  },
});
