/**
 * What guests say to the tablet: for each function ways of asking (phrasings with slots and `[one|other]` brackets) and the values that fill
 * them. Rows go through the phrasings of a function in turn.
 */
import { ask } from '../../quickstart/grammar.mjs';
import { Random } from '../../quickstart/random.mjs';
import { FUNCTIONS } from './functions.mjs';
import { choose, date, half, mistype, several, time, whole, withArticle } from './speech.mjs';

const SEED = 21;
const ROWS_PER_FUNCTION = 25;

/** What stands between commas. */
const listed = (text) => text.trim().split(/,\s+/);

const SINGLE_ITEMS = listed(`
  a blanket, an iron, a toothbrush, a phone charger, a corkscrew, an umbrella, a sewing kit, a cot,
  a kettle, a bathrobe, a hair dryer, a shaving kit, a foam pillow, a hot water bottle, a yoga mat,
  a power adapter`);
const COUNTED_ITEMS = listed(`
  towels, pillows, blankets, coat hangers, water glasses, bathrobes, laundry bags, beach towels,
  shampoo bottles, face cloths, chairs, candles`);
const DISHES = listed(`
  a club sandwich, fries, a Caesar salad, tomato soup, a cheeseburger, scrambled eggs, orange juice,
  a cappuccino, sparkling water, a margherita pizza, pancakes, a fruit salad, green tea, chicken curry,
  a cheese plate, an espresso, spaghetti carbonara, a chocolate cake, a lemonade, red wine,
  grilled salmon, miso soup, a croissant, garlic bread`);
const THINGS = listed(`
  shower, TV, toilet, bedside lamp, air conditioning, heating, minibar, safe, window, balcony door,
  wifi, hair dryer, coffee machine, sink, remote control, door lock, ceiling light, phone,
  curtain rail, bathtub drain`);
const DESTINATIONS = listed(`
  the airport, the central station, Café Luna, the opera house, Terminal 2, the Museum of Modern Art,
  14 Rose Street, the harbour, St. Mary's Hospital, the conference centre, Victoria Square,
  the old town, Hotel Bellevue, the zoo, Trattoria Rossi, the Olympic stadium, 220 King Road,
  the ferry terminal`);
const KINDS = listed(`
  a pharmacy, a supermarket, a bakery, a museum, an ATM, a playground, a bookshop,
  an Italian restaurant, a park, a post office, a sushi bar, a laundry, a jazz club, a cinema,
  a hairdresser, a vegan café, a flower shop`);

/**
 * Of each function, how its values are drawn and said (undefined: phrasings set them), and the phrasings.
 * @type {[name: string, draws: Record<string, ((random: Random) => unknown) | undefined>, phrasings: string[]][]}
 */
const WAYS = [
  [
    'set_temperature',
    { degrees: half(16, 26) },
    [
      '[set|change|turn|adjust] the [temperature|AC|heating|air con] to {degrees} degrees',
      'make it {degrees} degrees [in here|in the room|in my room]',
      "[it's|it is] [freezing|so cold|chilly] [in here|in the room|tonight], {degrees} degrees would be nice",
      "[it's|it is] [too hot|boiling|stuffy] [in here|up here], [bring|take|get] it down to {degrees}",
      '{degrees} degrees[|, please| in the room]',
      'could you [warm|heat] the room up to {degrees} [degrees|Celsius|C]?',
      'I [sleep|work] best at {degrees} degrees, can you set that?',
      'cool the room [down |]to {degrees} [degrees|C]',
      'AC [to|at] {degrees}',
      'we would like the room at {degrees} [degrees|Celsius]',
      "my wife is [cold|shivering], let's have {degrees} degrees",
      'room temperature {degrees}',
      'can we have it at {degrees} degrees [tonight|while the baby sleeps|for the night]?',
    ],
  ],
  [
    'request_cleaning',
    { time: time(9, 16) },
    [
      '[please clean|clean|make up|tidy up] [my|our|the] room',
      'can [someone|somebody|housekeeping] [clean|tidy up|come and clean] [the|our|this] room at {time}?',
      '[housekeeping|room cleaning|cleaning] [at|for] {time}',
      'we are [going out|off to the beach|heading out] now, the room can be [cleaned|made up]',
      'the room [is a mess|looks awful|is full of sand], [send housekeeping|could someone clean it|please have it cleaned]',
      'please [have the room cleaned|send the cleaners|get the room done] at {time}',
      'nobody [cleaned|has cleaned|made up] our room [today|yet], can that be done?',
      'the cleaning should be done at {time}',
      "I'd [like|love] to have my room cleaned at {time}",
      'we will be out at {time}, [clean|do] the room then',
      'the kids [spilled juice everywhere|got crumbs everywhere], we need [housekeeping|the room cleaned]',
      '[vacuum and dust|make the beds and clean] [in here|our room] at {time} [please|]',
      '[housekeeping|room cleaning][| now] please',
    ],
  ],
  [
    'bring_item',
    { item: withArticle(SINGLE_ITEMS) },
    [
      '[can|could] [you|someone|somebody] bring [me|us] {item}{quantity=1}?',
      'I [need|forgot to pack|could use] {item}{quantity=1}',
      '{item}{quantity=1} for room [214|308|17|120][| please]',
      'would it be possible to get {item}{quantity=1} [up here|in my room]?',
      'do you have {item}{quantity=1} [for me|we could borrow|I could use]?',
      'please send {item}{quantity=1} [up|to our room]',
    ],
  ],
  [
    'bring_item',
    { quantity: whole(2, 8), item: withArticle(COUNTED_ITEMS) },
    [
      '[please bring|bring|send up|send] {quantity} {item}',
      'we need {quantity} [more |]{item}',
      '{quantity} {item}[| to the room| for our room]',
      'could we [have|get] {quantity} {item}, [we are a big family|there were none in the room]?',
      "there [aren't|are not] enough {item} in here, bring {quantity}",
      "I'd [like|appreciate] {quantity} [more |]{item}",
      'can [someone|housekeeping|you] bring [up |]{quantity} {item}?',
    ],
  ],
  [
    'order_food',
    { dishes: several(DISHES) },
    [
      "I'd like [to order |]{dishes}",
      '[can I|could we|may I] [have|get|order] {dishes}?',
      '[room service|order|to eat]: {dishes}',
      'bring [us|me] {dishes}',
      "[I'm|we are] [hungry|starving], [send|bring] {dishes}",
      '{dishes} [to my room|for room 305|please]',
      'for [breakfast|lunch|dinner] I [would like|will have|want] {dishes}',
      'we would like {dishes} [up here|in the room|for the kids]',
      'can the kitchen [send up|send me] {dishes}?',
      "I [think I'll|will] [have|take|try] {dishes}",
      'one order of room service, {dishes}',
      'get me {dishes}',
      'just {dishes} for [me|us] [tonight|today|this time]',
    ],
  ],
  [
    'book_table',
    { date, time: time(17, 21), guests: whole(2, 12) },
    [
      'book a table for {guests} on {date} at {time}',
      '[can|could] [you|we] [reserve|get|book] a table at {time} on {date} for {guests} [people|persons|guests]?',
      'table for {guests}, {date}, {time}',
      'we [want|would like] to eat in the restaurant on {date} at {time}, we are {guests}',
      'dinner reservation on {date}, {guests} people, {time}',
      'a table for {guests} at {time} on {date}',
      "there [will be|are] {guests} of us, we'd like a table on {date} at {time}",
      'reserve for {guests} on {date} at {time} [please|]',
      "it's my [birthday|wedding anniversary] on {date}, could we have a table at {time} for {guests}?",
      "[I'd|we'd] like to [reserve|book] a table, on {date} at {time}, for {guests} people",
      'restaurant at {time} on {date} for {guests}',
      'do you have a table on {date} for {guests} people? {time} would be [perfect|best|great]',
    ],
  ],
  [
    'book_table',
    { date, time: time(12, 14), guests: whole(2, 12) },
    [
      'lunch for {guests} on {date} at {time}',
      'we are {guests} and [want|would like] to have lunch downstairs on {date}, at {time}',
    ],
  ],
  [
    'book_spa',
    { treatment: undefined, time: time(9, 19) },
    [
      'book a massage at {time}{treatment=massage}',
      'I [need|want|would love] a massage at {time}{treatment=massage}',
      'my back [hurts|is killing me], [book|get me] a massage at {time}{treatment=massage}',
      'facial at {time}{treatment=facial}',
      '[can|could] I [have|get|book] a facial at {time}?{treatment=facial}',
      'I want to do something for my skin, a facial at {time} would be great{treatment=facial}',
      'manicure [at|for] {time}{treatment=manicure}',
      '[can|could] [someone|you] do my nails at {time}, a manicure?{treatment=manicure}',
      "I'd like a manicure at {time}{treatment=manicure}",
      'reserve the sauna [for|at] {time}{treatment=sauna}',
      'is the sauna free at {time}? book it [for me|for us]{treatment=sauna}',
      'we [want|would like] to [use|go to|sit in] the sauna at {time}{treatment=sauna}',
      '[put me down|sign me up] for a [massage{treatment=massage}|facial{treatment=facial}|manicure{treatment=manicure}] at {time}',
    ],
  ],
  [
    'set_wakeup_call',
    { time: time(4, 10), daily: undefined },
    [
      '[wake me|wake us|wake me up|get me up] at {time}',
      '[wake-up call|wakeup call|alarm] [at|for] {time}',
      'wake [me|us] [up |]at {time} every [day|morning]{daily=true}',
      'wake me at {time}, [just once, not every day|only this once, not daily]{daily=false}',
      'can [you|someone|the front desk] [call|ring|wake] me at {time} [so I get up|to wake me|to get me out of bed]?',
      'I have [an early flight|a meeting|to catch a train] and must be up at {time}, [wake me|please wake me]',
      'daily wake-up call at {time}{daily=true}',
      'I need to get up at {time}',
      "[don't|do not] let me sleep past {time}",
      '[every day|each morning|every morning] at {time} please wake [me|us]{daily=true}',
      'set an alarm for {time}',
      'I [sleep|slept] so deeply, could you give me a wake-up call at {time}?',
      "I'd like a wake-up call at {time} on each day of my stay{daily=true}",
      'up at {time}, call me',
    ],
  ],
  [
    'report_problem',
    { thing: withArticle(THINGS) },
    [
      'the {thing} [is broken|is not working|does not work|stopped working]',
      'the {thing} [seems to be|looks|is] [defective|damaged|out of order|faulty]',
      'could [you|someone|a technician] [fix|repair|look at|have a look at] the {thing}?',
      '[something is wrong with|there is a problem with|we have trouble with] the {thing}',
      'I think the {thing} is [broken|dead], [please send someone|can it be fixed]',
      '{thing} [broken|not working|kaput]',
      "the {thing} [doesn't work|won't work] and I [am getting annoyed|need it tonight]",
      'send [someone|a technician|maintenance] to repair the {thing}',
      '[my son|my daughter|my husband] broke the {thing}, [sorry about that|so sorry]',
      "we can't [use|get any use out of] the {thing}, it [makes strange noises|is broken]",
      'please [repair|fix] the {thing}',
      'since [last night|this morning] the {thing} [is|has been] out of order',
      'the {thing} has been [acting up|playing up], [please fix it|someone should look at it]',
    ],
  ],
  [
    'order_taxi',
    { destination: withArticle(DESTINATIONS), time: time(5, 22) },
    [
      '[get|call|order] [me|us] a [taxi|cab] to {destination}',
      '[taxi|cab] to {destination} at {time}',
      'I [need|have] to [go|get] to {destination}, [call a taxi|can you get me a cab]',
      '[can|could] you [order|book|arrange] a taxi to {destination} for {time}?',
      'we need a [ride|car|cab] to {destination} at {time}',
      'please have a taxi ready at {time}, we are going to {destination}',
      'a cab to {destination}[| please| right now]',
      'my flight leaves soon, I need a taxi to {destination}',
      'book a taxi for {time}, destination {destination}',
      'at {time} I want to leave for {destination}, order a [taxi|cab]',
      "what about a taxi? [I'm|we're] going to {destination}",
      'have a [taxi|cab] take us to {destination} at {time}',
      'I would like to be driven to {destination} [at {time}|]',
    ],
  ],
  [
    'extend_stay',
    { nights: whole(2, 9) },
    [
      '[can|could] [I|we] stay {nights} more nights?',
      '[extend|prolong] [my|our] [stay|booking|reservation] by {nights} nights',
      "we [love|like] it here, we'd like to stay [for |]{nights} more nights",
      'I need the room for [another|an additional] {nights} nights',
      "[my meeting|my flight|our train] was [cancelled|moved], so I'm staying {nights} nights longer",
      'add {nights} nights to [my|our] [booking|stay]',
      '{nights} more nights [please|in this room|in room 412]',
      'is it possible to keep the room {nights} nights longer?',
      'one more night[| please| in this room]{nights=1}',
      '[can|may] we stay another night?{nights=1}',
      'stay {nights} nights longer',
      "we're not ready to leave, make it {nights} extra nights",
      'extend by {nights} nights',
    ],
  ],
  [
    'find_places',
    { kind: withArticle(KINDS), max_km: half(1, 6) },
    [
      '[is there|would there be] {kind} [around here|nearby|close by|in the neighbourhood]?',
      'find {kind} within {max_km} [km|kilometres]',
      'where can [I|we] find {kind}?',
      "I'm looking for {kind}, [not more|no more|not further] than {max_km} [km|kilometres] away",
      '{kind} [nearby|in town|around here]',
      '[show|find] me {kind}',
      'we want to go to {kind}, [but at most|no further than] {max_km} kilometres from here',
      '[I need|we need] to find {kind} [today|before it closes|soon]',
      'can you [recommend|suggest|tell me] {kind} within {max_km} km?',
      'do you know {kind} [around here|near the hotel|in this part of town]?',
      'search for {kind} in a radius of {max_km} km',
      '{kind}, {max_km} km at most',
      'what would be {kind} [close to the hotel|we could walk to]?',
    ],
  ],
  [
    'show_bill',
    {},
    [
      '[show|let me see|pull up|display] [my|the|our] [bill|invoice]',
      'how much do [I|we] owe [you|the hotel]?',
      'what [have I|have we] spent [so far|until now|here]?',
      'what does [my|our] [bill|account|room bill] [look like|say|come to]?',
      'bill [please|]',
      'can I [check|see|look at] [the charges|what I have to pay|my expenses|the invoice]?',
      'I want to [go over|check|see] [my|the] [charges|bill|costs]',
      "[I'd|we'd] like to know what our [stay|minibar and room] costs [so far|by now]",
      'open [the|my] [invoice|bill|account]',
      'before we [check out|leave], [show us|we want to see] the [total|bill|invoice]',
      "what's [the total|the damage|on my tab|the balance on my room]?",
      '[invoice|account balance|current charges][| please]',
      'how high is [my|our] [bill|tab] [already|now|today]?',
    ],
  ],
];

const OPENINGS = [
  ...Array(9).fill(''),
  'hi, ',
  'hello, ',
  'hey ',
  'good evening, ',
  'good morning, ',
  'excuse me, ',
  'sorry to bother you, ',
  'this is [Mrs Keller|Mr Okafor|Dr. Lindgren|Aisha Khan], ',
  'hi there, [Tom Baker|Yuki Mori|Paula] speaking, ',
  'um, ',
  'ok ',
  'room [512|101|27|330] here, ',
  'hi from [512|room 9|the third floor], ',
];
const ENDINGS = ['', '', '', '', '.', '.', '!', ', thanks', ', thank you.', ', please', ' thx'];

/** A request in one guest's manner: greeting, typing, ending. The values in the slots stay as they are. */
function inManner(phrasing, random) {
  let words = choose(random.pick(OPENINGS) + phrasing, random);
  if (random.chance(0.12)) words = mistype(words, random);
  if (random.chance(0.15)) words = words.replace(/\bI\b/g, 'i');
  else if (random.chance(0.7)) words = words[0].toUpperCase() + words.slice(1);
  return /[?]|please/.test(words) ? words : words.trimEnd() + random.pick(ENDINGS);
}

/** @returns {{ name: string, request: string, args: object }[]} `ROWS_PER_FUNCTION` of each function, shuffled; no request twice */
export function trainingCalls() {
  const random = new Random(SEED);
  const made = new Map();
  for (const { function: declaration } of FUNCTIONS) {
    const { properties } = declaration.parameters;
    const ways = WAYS.filter(([name]) => name === declaration.name).flatMap(([, draws, phrasings]) => {
      const parameters = Object.fromEntries(
        Object.keys(properties).map((key) => [key, { schema: properties[key], draw: draws[key] }]),
      );
      return phrasings.map((phrasing) => ({ parameters, phrasing }));
    });
    const wanted = made.size + ROWS_PER_FUNCTION;
    for (let i = 0; made.size < wanted; i++) {
      const { parameters, phrasing } = ways[i % ways.length];
      const { request, args } = ask({ parameters }, inManner(phrasing, random), random);
      made.set(request, { name: declaration.name, request, args });
    }
  }
  return random.shuffle([...made.values()]);
}
