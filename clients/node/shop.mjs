// The task and the two tools of the Node agents: one looks, one does something.
import { randomUUID } from 'node:crypto';

export const TASK = 'Are there enough widgets? Order what is missing to 20.';
export const SYSTEM = 'You look after a shop. Use the tools.';
export const TOOLS = {
  stock: ({ item }) => ({ item, units: { widget: 7 }[item] ?? 0 }),
  order: ({ item, quantity }) => ({ item, quantity, order: randomUUID() }),
};
export const ABOUT = { stock: 'How many units of an item are in stock.', order: 'Order units of an item.' };
const item = { type: 'string' };
export const SCHEMAS = {
  stock: { type: 'object', properties: { item }, required: ['item'], additionalProperties: false },
  order: {
    type: 'object',
    properties: { item, quantity: { type: 'integer' } },
    required: ['item', 'quantity'],
    additionalProperties: false,
  },
};
