// Reads the API's own description: which fields a body has, their types, bounds and defaults.

import { get } from './api.js';

let document_ = null;

/** The description; read once. */
export function description() {
  document_ ??= get('/openapi.json').catch((error) => {
    document_ = null;
    throw error;
  });
  return document_;
}

/** The alternatives of a field's schema, references resolved. */
function options(schema, all) {
  if (schema.$ref) return options(all[schema.$ref.split('/').pop()] ?? {}, all);
  return (schema.anyOf ?? schema.oneOf ?? [schema]).flatMap((one) => (one === schema ? [one] : options(one, all)));
}

/** {types, values, min, max, isOptional} of one field. */
export function shapeOf(schema, all) {
  const found = options(schema, all);
  const values = found.flatMap((one) => one.enum ?? (one.const !== undefined ? [one.const] : []));
  const number = found.find((one) => one.type === 'integer' || one.type === 'number');
  return {
    types: [...new Set(found.map((one) => one.type).filter((one) => one && one !== 'null'))],
    values, min: number?.minimum, max: number?.maximum, isInteger: number?.type === 'integer',
    isOptional: found.some((one) => one.type === 'null'),
  };
}

/** The default that the description states, as text; null if it states none. */
export const defaultOf = (schema) => /Default: (.*?)\.?$/.exec(schema.description ?? '')?.[1] ?? (schema.default !== undefined ? JSON.stringify(schema.default) : null);
export const withoutDefault = (schema) => (schema.description ?? '').replace(/\s*Default: .*$/, '');

/** Text of a value as it is edited: lists one a line, mappings `name=value` a line. */
export function toText(value) {
  if (value == null) return '';
  if (Array.isArray(value)) return value.map((one) => (typeof one === 'object' ? JSON.stringify(one) : one)).join('\n');
  if (typeof value === 'object') return Object.entries(value).every(([, one]) => typeof one !== 'object') && !('draft_model' in value) ? Object.entries(value).map((pair) => pair.join('=')).join('\n') : JSON.stringify(value);
  return String(value);
}

/** The value of edited text; an empty text is null. Throws Error with what is wrong. */
export function fromText(text, shape) {
  const words = text.trim();
  if (shape.types.includes('array')) return words ? words.split('\n').map((one) => one.trim()).filter(Boolean).map((one) => (one.startsWith('{') ? JSON.parse(one) : /^-?\d+(\.\d+)?$/.test(one) ? Number(one) : one)) : [];
  if (words.startsWith('{')) return JSON.parse(words);
  if (shape.types.includes('object') && !shape.types.includes('string') && !shape.values.length) {
    return Object.fromEntries(words.split('\n').filter((one) => one.trim()).map((one) => {
      const [name, ...rest] = one.split('=');
      if (!rest.length) throw new Error(`“${one}” is not name=value`);
      return [name.trim(), rest.join('=').trim()];
    }));
  }
  if (words === '') return null;
  const isNumber = shape.types.some((one) => one === 'integer' || one === 'number');
  if (isNumber && /^-?\d+(\.\d+)?$/.test(words)) return Number(words);
  return words;
}
