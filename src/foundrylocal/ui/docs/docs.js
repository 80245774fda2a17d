// The page at /docs: reads openapi.json and shows every endpoint.

import { el } from './elements.js';
import { open, showEndpoints } from './endpoint-list.js';
import { Schemas } from './schemas.js';

const content = document.getElementById('content');

try {
  const answer = await fetch('openapi.json');
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const description = await answer.json();
  showEndpoints(description, new Schemas(description));
  const wanted = location.hash.slice(1);
  if (wanted) {
    open(wanted);
    document.getElementById(wanted)?.scrollIntoView();
  }
} catch (error) {
  content.replaceChildren(el('p', { class: 'bad' }, `The description could not be read. ${error}`));
}
