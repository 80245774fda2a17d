// The field for one value, by its shape: a choice, a switch, a number, a text, or several lines.

import { h } from '../core/dom.js';
import { toText } from '../core/schema.js';

/** @param {{id: string, shape: object, value: any, placeholder?: string, disabled?: boolean, isSecret?: boolean, describedBy?: string, onvalue: (text: string | boolean) => void}} field */
export function valueField({ id, shape, value, placeholder, disabled, isSecret, isWrong, describedBy, onvalue }) {
  const common = { id, disabled, 'aria-describedby': describedBy, 'aria-invalid': isWrong ? 'true' : null };
  if (shape.types.includes('boolean')) {
    if (!shape.isOptional) return h('input', { ...common, type: 'checkbox', checked: value === true || value === 'true', onchange: (event) => onvalue(event.target.checked) });
    return choice(common, [['', placeholder ?? 'not set'], ['true', 'yes'], ['false', 'no']], value == null ? '' : String(value), (text) => onvalue(text === '' ? '' : text === 'true'));
  }
  const isOnlyChoice = shape.values.length > 0 && !shape.types.some((one) => ['integer', 'number', 'object'].includes(one));
  if (isOnlyChoice) return choice(common, [...(shape.isOptional ? [['', placeholder ?? 'not set']] : []), ...shape.values.map((one) => [one, one])], toText(value), onvalue);
  if (shape.types.includes('array') || shape.types.includes('object')) {
    return h('textarea', { ...common, rows: '2', value: toText(value), placeholder: placeholder ?? 'one per line', spellcheck: 'false', oninput: (event) => onvalue(event.target.value) });
  }
  const isNumber = !shape.values.length && !shape.types.includes('string') && shape.types.length > 0;
  return h('input', { ...common, type: isSecret ? 'password' : isNumber ? 'number' : 'text', inputmode: isNumber ? 'decimal' : null, step: isNumber ? (shape.isInteger ? '1' : 'any') : null,
    min: isNumber ? shape.min : null, max: isNumber ? shape.max : null, value: toText(value), placeholder, spellcheck: 'false', autocomplete: 'off', oninput: (event) => onvalue(event.target.value) });
}

const choice = (common, entries, value, onvalue) => h('select', { ...common, onchange: (event) => onvalue(event.target.value) },
  entries.map(([id, label]) => h('option', { key: id, value: id, selected: id === value }, label)));
