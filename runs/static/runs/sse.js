// Server-sent events out of a fetch response, which, unlike EventSource, can send headers and be told where to begin.

/** Yields {event, data, id} for each event and {comment} for each comment, in order. */
export async function* events(response) {
  let event = {};
  for await (const line of lines(response.body)) {
    if (line === "") {
      if (event.event) yield event;
      event = {};
    } else if (line.startsWith(":")) {
      yield { comment: line.slice(1).trim() };
    } else {
      const colon = line.indexOf(":");
      event[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
    }
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\r\n");
    rest = parts.pop();
    yield* parts;
  }
}
