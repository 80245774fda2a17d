// Makes elements of the page. Text is inserted as text, never as HTML.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

/** Text of the description: backticks mark code, and there is no other Markdown. */
export function prose(text) {
  return (text ?? '').split('`').map((part, index) => (index % 2 ? el('code', {}, part) : part));
}

export const code = (text) => el('pre', { tabindex: '0' }, el('code', {}, text));
export const pretty = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
