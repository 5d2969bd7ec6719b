/** Health and sport. */
import { choice, integer, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

export const HEALTH = [
  tool(
    'count_calories',
    'Calories of a food',
    { food: text('Food', words.thing), grams: integer('Weight in grams', 10, 900, 10) },
    [
      'how many calories are in {grams} grams of {food}',
      'calories of {food}, {grams} grams',
      'I ate {grams} grams of {food}',
    ],
  ),
  tool('log_weight', 'Note the body weight', { kilograms: integer('Weight in kilograms', 40, 140) }, [
    'I weigh {kilograms} kilograms',
    'log my weight as {kilograms}',
    'my weight is {kilograms} kg today',
    'note {kilograms} kilograms as weight',
  ]),
  tool(
    'book_doctor',
    'Appointment with a doctor',
    {
      specialty: choice('Kind of doctor', ['dentist', 'skin', 'eyes', 'children']),
      day: text('Day of the week', words.weekday),
    },
    [
      'book a {specialty} doctor on {day}',
      'I need an appointment for {specialty} on {day}',
      'see a doctor for {specialty} next {day}',
      'make a {specialty} appointment, {day}',
    ],
  ),
  tool(
    'log_run',
    'Note a run',
    { kilometres: integer('Distance in kilometres', 1, 42), minutes: integer('Duration in minutes', 5, 240) },
    [
      'I ran {kilometres} kilometres in {minutes} minutes',
      'log a run of {kilometres} km, {minutes} minutes',
      'note my jog: {kilometres} km, {minutes} minutes',
    ],
  ),
  tool(
    'sports_score',
    'Result of a game',
    {
      team: text(
        'Name of the team',
        (r) => `${words.city(r)} ${r.pick(['Bears', 'Lions', 'United', 'Eagles', 'Rovers'])}`,
      ),
    },
    ['did {team} win', 'what is the score of {team}', 'how did {team} play', 'latest result for {team}'],
  ),
];
