// A day of the service's events and of its log, as fast as the page takes them. It stands in for the two streams only:
// `/events` begins with what the real service says, then time goes on; `/logs/stream` is made up.
(() => {
  const TICKS_AN_HOUR = 180, LINES_A_TICK = 10;
  const real = window.fetch;
  const encoder = new TextEncoder();
  const encode = (items) => encoder.encode(items.map((one) => `data: ${JSON.stringify(one)}\n\n`).join(''));
  // `hours` is how far the test lets the day go on; `at` is where each stream is, in ticks.
  const day = (window.day = { hours: 0, at: { events: 0, log: 0 } });

  const request = (number) => ({ id: `req-${number}`, at: new Date(1.7e12 + number * 1000).toISOString(), model: `model-${number % 7}`,
    key: 'default', endpoint: '/v1/chat/completions', status: number % 9 ? 'ok' : 'failed', queue_ms: 1, load_ms: null, prefill_ms: 20,
    first_token_ms: 40 + (number % 50), tokens_in: 100, tokens_cached: 50, tokens_out: 200, tokens_per_second: 40, total_ms: 5000,
    client: '127.0.0.1', error: number % 9 ? null : { message: `Failed: ${number}`, code: 'internal_error' }, stop_reason: 'stop' });
  const line = (number) => ({ timestamp: new Date(1.7e12 + number * 100).toISOString(), level: number % 50 ? 'INFO' : 'ERROR', source: 'API',
    message: `Line ${number} of a long day` });

  /** What the service would tell in twenty seconds. */
  function eventsOf(tick, first) {
    const event = (type, data) => ({ type, data });
    const requests = Array.from({ length: 10 }, (_, index) => request(tick * 10 + 9 - index));
    const told = [event('requests', { running: [{ ...request(tick * 10 + 10), status: 'running' }], recent: requests, ended_count: (tick + 1) * 10 }),
      event('activity', { ...first.activity, totals: { ...first.activity.totals, requests: tick * 10 } })];
    if (tick % 3 === 0) told.push(event('machine', { ...first.machine, memory: { ...first.machine.memory, free_bytes: first.machine.memory.free_bytes - tick } }));
    if (tick % 5 === 0) told.push(event('downloads', [{ model_name: `file-${tick % 20}`, state: 'downloading', progress: { stage: 'downloading', percent: tick % 100, downloaded_bytes: tick, total_bytes: 1e6 } }]));
    if (tick % 20 === 0) {
      told.push(event('downloads', []), event('ended_downloads', Array.from({ length: 20 }, (_, index) => ({ model_name: `file-${tick - index * 20}`, state: 'cancelled',
        ended_at: new Date(1.7e12 + (tick - index * 20) * 10_000).toISOString(), kept_bytes: 1 }))));
    }
    if (tick % 100 === 0) told.push(event('state', { ...first.state, last_error: { message: `Problem of tick ${tick}`, type: 'server_error', code: 'internal_error' } }));
    if (tick % 180 === 0) told.push(event('loaded', tick % 360 ? first.loaded : []));
    return told;
  }

  const linesOf = (tick) => Array.from({ length: LINES_A_TICK }, (_, index) => line(tick * LINES_A_TICK + index));

  function stream(name, itemsOf) {
    return new ReadableStream({
      async pull(controller) {
        while (day.at[name] > 0 && day.at[name] >= day.hours * TICKS_AN_HOUR) await new Promise((resolve) => setTimeout(resolve, 20));
        controller.enqueue(encode(itemsOf(day.at[name])));
        day.at[name] += 1;
        if (day.at[name] % 60 === 0) await new Promise((resolve) => setTimeout(resolve)); // frames are drawn in between
      },
    });
  }

  async function firstEvents(answer) {
    const first = {};
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!('machine' in first)) {
      text += (await reader.read()).value;
      const lines = text.split('\n');
      text = lines.pop();
      for (const one of lines.filter((words) => words.startsWith('data:'))) {
        const { type, data } = JSON.parse(one.slice(5));
        first[type] = data;
      }
    }
    reader.cancel();
    return first;
  }

  window.fetch = async (url, options) => {
    const path = String(url);
    if (path.endsWith('/events')) {
      const first = await firstEvents(await real(url, options));
      const begin = Object.entries(first).map(([type, data]) => ({ type, data }));
      let isBegun = false;
      return new Response(stream('events', (tick) => {
        const told = isBegun ? eventsOf(tick, first) : begin;
        isBegun = true;
        return told;
      }));
    }
    if (path.includes('/logs/stream')) return new Response(stream('log', linesOf));
    return real(url, options);
  };
  day.isOver = (name) => day.at[name] >= day.hours * TICKS_AN_HOUR;
})();
