// Describes a part of the page as plain objects and brings the document in line with them.
// Text is always inserted as text and never parsed as HTML, so nothing that a model or a file says can run.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'g', 'rect', 'path', 'line', 'circle', 'title', 'text']);

/**
 * Nested parts as one list, without those that are absent. An element without a key gets its place as key, absent parts counted, so
 * that a sibling that comes or goes does not turn one element into another: a button that works keeps what it is doing.
 */
function flat(parts, place = '.', found = []) {
  parts.forEach((part, index) => {
    if (Array.isArray(part)) flat(part, `${place}${index}.`, found);
    else if (part != null && part !== false && part !== true && part !== '') {
      if (typeof part === 'object') part.key ??= place + index;
      found.push(part);
    }
  });
  return found;
}

/**
 * A description of an element. Properties: `key` identifies it among its siblings, `on…` are listeners, `.name` sets
 * a property, `vars` sets CSS variables (the policy forbids style attributes); everything else is an attribute.
 * @param {string} tag @param {object | null} [props] @param {...any} children
 */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, key: props?.key, children: flat(children) };
}

/** Make the children of `parent` what `children` describe; nodes that stay keep their focus and scroll position. */
export function patch(parent, ...children) {
  const all = flat(children);
  const wantedKeys = new Set(all.map((one) => one.key));
  const keyed = new Map();
  for (const node of parent.childNodes) if (node.described && !keyed.has(node.described.key)) keyed.set(node.described.key, node);
  let at = parent.firstChild;
  for (const wanted of all) {
    // What goes is removed first: those after it then stay in place, for moving an element disconnects it.
    while (at?.described && (!wantedKeys.has(at.described.key) || (at.described.key === wanted.key && at.described.tag !== wanted.tag))) {
      keyed.delete(at.described.key);
      at = removed(at);
    }
    const node = typeof wanted === 'object' ? element(wanted, keyed) : text(String(wanted), at);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  while (at) at = removed(at);
}

/** Remove a node; the one after it. */
function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function text(wanted, at) {
  if (at?.nodeType !== Node.TEXT_NODE) return document.createTextNode(wanted);
  if (at.data !== wanted) at.data = wanted;
  return at;
}

function element(wanted, keyed) {
  const known = keyed.get(wanted.key);
  const fits = known?.described.tag === wanted.tag;
  const node = fits ? known : create(wanted.tag);
  if (node.described === wanted) return node; // a description that was kept
  if (fits) keyed.delete(wanted.key); // a second one with this key is another node
  const before = node.described?.props ?? {};
  for (const name in before) if (!(name in wanted.props)) set(node, name, undefined);
  // A custom element fills itself; it gets its properties and nothing else.
  if (!wanted.tag.includes('-') || wanted.children.length) patch(node, wanted.children);
  const changed = Object.keys(wanted.props).filter((name) => before[name] !== wanted.props[name]);
  for (const name of changed) set(node, name, wanted.props[name]);
  node.described = wanted;
  if (fits && changed.some((name) => name.startsWith('.'))) node.update?.();
  return node;
}

function create(tag) {
  return SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
}

function dispatch(event) {
  if (event.type === 'click' && this.getAttribute('aria-disabled') === 'true') return event.preventDefault();
  return this.listeners[event.type]?.call(this, event);
}

/** A control that has the focus keeps it: until the focus leaves, it only says that it is disabled. */
function disable(node, isDisabled) {
  const hasFocus = isDisabled && node === document.activeElement;
  node.toggleAttribute('disabled', isDisabled && !hasFocus);
  if (!hasFocus) return node.removeAttribute('aria-disabled');
  node.setAttribute('aria-disabled', 'true');
  node.addEventListener('blur', () => disable(node, Boolean(node.described.props.disabled)), { once: true });
}

function set(node, name, value) {
  if (name === 'key') return;
  if (name.startsWith('on')) {
    node.listeners ??= {};
    if (!(name.slice(2) in node.listeners)) node.addEventListener(name.slice(2), dispatch);
    node.listeners[name.slice(2)] = value;
  } else if (name.startsWith('.')) {
    node[name.slice(1)] = value;
  } else if (name === 'vars') {
    for (const [key, one] of Object.entries(value ?? {})) node.style.setProperty(key, one);
  } else if ((name === 'value' && 'value' in node && node.tagName !== 'LI') || name === 'checked') {
    if (node[name] !== (value ?? '')) node[name] = value ?? '';
  } else if (name === 'disabled') {
    disable(node, Boolean(value));
  } else if (value == null || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? '' : value);
  }
}
