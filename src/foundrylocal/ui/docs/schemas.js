// What the API's description says of a schema: its name, its limits, and an example.

export class Schemas {
  constructor(document) { this.all = document.components?.schemas ?? {}; }

  resolve(schema) {
    return schema?.$ref ? this.all[schema.$ref.split('/').pop()] ?? {} : schema ?? {};
  }

  name(schema) {
    if (schema.$ref) return schema.$ref.split('/').pop();
    const options = schema.anyOf ?? schema.oneOf;
    if (options) return options.map((one) => this.name(one)).join(' or ');
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
    if (schema.type === 'array') return `${this.name(schema.items ?? {})}[]`;
    return schema.type ?? 'any';
  }

  limits(schema) {
    const inner = (schema.anyOf ?? [schema]).find((one) => one.type !== 'null') ?? schema;
    const words = [];
    if (inner.minimum !== undefined) words.push(`at least ${inner.minimum}`);
    if (inner.maximum !== undefined) words.push(`at most ${inner.maximum}`);
    if (schema.default !== undefined && schema.default !== null && typeof schema.default !== 'object') {
      words.push(`default ${JSON.stringify(schema.default)}`);
    }
    return words.join(', ');
  }

  example(schema, depth = 0) {
    const shape = this.resolve(schema);
    if (shape.examples?.length) return shape.examples[0];
    if (shape.default !== undefined) return shape.default;
    const options = shape.anyOf ?? shape.oneOf;
    if (options) return depth > 6 ? null : this.example(options[0], depth + 1);
    if (shape.const !== undefined) return shape.const;
    if (shape.enum) return shape.enum[0];
    if (shape.type === 'array') return depth > 6 ? [] : [this.example(shape.items, depth + 1)];
    if (shape.type === 'object' || shape.properties) {
      const entries = Object.entries(shape.properties ?? {});
      return depth > 6 ? {} : Object.fromEntries(entries.map(([key, one]) => [key, this.example(one, depth + 1)]));
    }
    return { string: 'text', integer: 0, number: 0, boolean: true }[shape.type] ?? null;
  }
}
