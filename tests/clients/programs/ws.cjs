// The events of a stream over WebSocket, by ws, which leaves it to its caller to connect again.
const WebSocket = require("ws");

const url = process.argv[2].replace("http", "ws");
let count = Number(process.argv[3]);
const headers = { Authorization: `Bearer ${process.env.WAKELINE_TOKEN}` };
let resume = "";

// The cursor of the last frame says where to go on.
function connect() {
  const socket = new WebSocket(url + resume, { headers, handshakeTimeout: 10_000 });
  socket.on("message", (text) => {
    if (count === 0) return;
    const { type, cursor = "", ...rest } = JSON.parse(text);
    if (cursor !== "") resume = `&last_event_id=${cursor}`;
    const isData = ["event", "device", "deleted"].includes(type);
    const seen = { event: isData ? "message" : type, id: cursor, data: type === "event" ? rest.event : rest };
    process.stdout.write(`${JSON.stringify(seen)}\n`);
    if (isData) count -= 1;
    if (count === 0) socket.close();
  });
  socket.on("error", (error) => process.stderr.write(`${error.message}\n`));
  socket.on("close", () => {
    if (count > 0) setTimeout(connect, 500);
  });
}
connect();
