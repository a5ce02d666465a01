// The events of a stream, by eventsource, which connects again by itself.
const { EventSource } = require("eventsource");

const url = process.argv[2];
let count = Number(process.argv[3]);
const headers = { Authorization: `Bearer ${process.env.WAKELINE_TOKEN}` };

const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
});

function show(event) {
  if (count === 0) return;
  const seen = { event: event.type, id: event.lastEventId, data: JSON.parse(event.data) };
  process.stdout.write(`${JSON.stringify(seen)}\n`);
  if (event.type === "message") count -= 1;
  if (count === 0) source.close();
}

for (const name of ["message", "hello", "reset", "caught_up", "degraded", "keepalive", "fault"]) {
  source.addEventListener(name, show);
}
source.onerror = (error) => {
  process.stderr.write(`${error.code ?? ""} ${error.message}\n`);
  if (source.readyState === EventSource.CLOSED) process.exitCode = 1;
};
