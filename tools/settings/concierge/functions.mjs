/**
 * Twelve functions of a concierge tablet in a hotel room. Every prompt carries all of them, so descriptions are short: what the names do not
 * tell, and the convention wherever a value could be written in several ways.
 */
const TIME = { type: 'string', description: 'HH:MM' };
const AS_SAID = { type: 'string', description: 'As said, no article' };

const declare = (name, description, required, properties) => ({
  type: 'function',
  function: {
    name,
    description,
    parameters: { type: 'object', properties, ...(required.length > 0 && { required }) },
  },
});

export const FUNCTIONS = [
  declare('set_temperature', 'Set the room temperature', ['degrees'], {
    degrees: { type: 'number', description: 'Celsius' },
  }),
  declare('request_cleaning', 'Have the room cleaned', [], { time: TIME }),
  declare('bring_item', 'Bring things to the room, not food', ['item', 'quantity'], {
    item: AS_SAID,
    quantity: { type: 'integer', description: '1 if not said' },
  }),
  declare('order_food', 'Bring food and drinks to the room', ['dishes'], {
    dishes: { type: 'array', description: 'Each as said, no article', items: { type: 'string' } },
  }),
  declare('book_table', 'Book a table in the hotel restaurant', ['date', 'time', 'guests'], {
    date: { type: 'string', description: '2026-MM-DD' },
    time: TIME,
    guests: { type: 'integer', description: 'All who come' },
  }),
  declare('book_spa', 'Book a treatment', ['treatment', 'time'], {
    treatment: { type: 'string', description: 'Kind', enum: ['massage', 'facial', 'manicure', 'sauna'] },
    time: TIME,
  }),
  declare('set_wakeup_call', 'Wake the guest', ['time'], {
    time: TIME,
    daily: { type: 'boolean', description: 'Every day, if said' },
  }),
  declare('report_problem', 'Have a broken thing repaired', ['thing'], { thing: AS_SAID }),
  declare('order_taxi', 'Order a taxi', ['destination'], { destination: AS_SAID, time: TIME }),
  declare('extend_stay', 'Stay longer', ['nights'], { nights: { type: 'integer', description: 'More nights' } }),
  declare('find_places', 'Find shops and sights in town', ['kind'], {
    kind: AS_SAID,
    max_km: { type: 'number', description: 'Distance, if said' },
  }),
  declare('show_bill', 'Show what the guest owes', [], {}),
];
