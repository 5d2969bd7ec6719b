/** Travel and places. */
import { choice, integer, optional, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

export const TRAVEL = [
  tool(
    'get_weather',
    'Weather forecast for a city',
    { city: text('Name of the city', words.city), days: optional(integer('Days ahead', 1, 10)) },
    [
      'what is the weather in {city}',
      'weather forecast for {city} for the next {days} days',
      'will it rain in {city}',
      'how warm will it be in {city} over {days} days',
      'show me a {days} day forecast for {city}',
      'is it sunny in {city} today',
    ],
  ),
  tool(
    'book_flight',
    'Book seats on a flight',
    {
      origin: text('City to leave from', words.city),
      destination: text('City to fly to', words.city),
      passengers: optional(integer('Number of seats', 1, 9)),
    },
    [
      'book a flight from {origin} to {destination}',
      'fly me from {origin} to {destination}',
      'I need {passengers} seats on a plane from {origin} to {destination}',
      'get {passengers} plane tickets to {destination} leaving from {origin}',
      'reserve a flight to {destination} from {origin} for {passengers} people',
    ],
  ),
  tool(
    'find_hotel',
    'Find a hotel in a city',
    { city: text('City to stay in', words.city), nights: integer('Nights to stay', 1, 14) },
    [
      'find a hotel in {city} for {nights} nights',
      'I want to stay {nights} nights in {city}',
      'where can I sleep in {city} for {nights} nights',
      'look for rooms in {city}, {nights} nights',
      'search hotels for {nights} nights in {city}',
    ],
  ),
  tool(
    'rent_car',
    'Rent a car',
    {
      city: text('Where to pick it up', words.city),
      kind: choice('Kind of car', ['small', 'family', 'van', 'sports']),
      days: integer('Days to rent', 1, 21),
    },
    [
      'rent a {kind} car in {city} for {days} days',
      'I need a {kind} car for {days} days in {city}',
      'hire a {kind} car from {city}, {days} days',
      'get me a {kind} rental car in {city} for {days} days',
    ],
  ),
  tool(
    'train_times',
    'Departures of trains between two cities',
    { start: text('City of departure', words.city), end: text('City of arrival', words.city) },
    [
      'when do trains leave from {start} to {end}',
      'train times {start} to {end}',
      'show trains between {start} and {end}',
      'next train to {end} from {start}',
    ],
  ),
  tool(
    'get_directions',
    'Route to a place',
    { place: text('Where to go', words.street), mode: choice('How to travel', ['walking', 'driving', 'cycling']) },
    [
      'directions to {place} {mode}',
      'how do I get to {place} {mode}',
      'show me the {mode} route to {place}',
      'navigate to {place}, {mode}',
    ],
  ),
  tool(
    'find_parking',
    'Find a place to park',
    { street: text('Street to park near', words.street), hours: integer('Hours to park', 1, 12) },
    [
      'find parking near {street} for {hours} hours',
      'where can I park at {street} for {hours} hours',
      'I have to leave my car near {street} for {hours} hours',
      'parking for {hours} hours around {street}',
    ],
  ),
  tool('air_quality', 'Air quality in a city', { city: text('Name of the city', words.city) }, [
    'how clean is the air in {city}',
    'air quality in {city}',
    'is the air in {city} polluted',
    'check pollution in {city}',
  ]),
];
