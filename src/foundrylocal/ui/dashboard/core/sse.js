// Reads server-sent events from a response; EventSource cannot send the Authorization header.

const MAX_PENDING_CHARS = 4_000_000;

/**
 * The JSON of each event's data. A line `data: [DONE]` ends the stream.
 * @param {Response} answer
 */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      pending += value;
      if (pending.length > MAX_PENDING_CHARS) throw new Error('An event is too long');
      const lines = pending.split('\n');
      pending = lines.pop();
      for (const line of lines) {
        if (!line.startsWith('data:')) continue;
        const data = line.slice(5).trim();
        if (data === '[DONE]') return;
        yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
