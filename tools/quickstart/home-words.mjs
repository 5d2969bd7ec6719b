/** Open strings of the quickstart's rows: some for training, others for evaluation. */
const list = (values) => values.split(',').map((value) => value.trim());
/** A string from the first list in training, from the second in evaluation. */
const either = (training, evaluation) => {
  const [known, unseen] = [list(training), list(evaluation)];
  return (random, heldOut) => random.pick(heldOut ? unseen : known);
};

export const room = either(
  'kitchen, bedroom, bathroom, hall, office, attic, nursery, cellar, guest room, dining room, workshop, laundry room, library, pantry, entrance, sauna',
  'living room, garage, studio, playroom, hobby room, conservatory',
);
export const music = either(
  'slow jazz, rainy day piano, Mozart, old blues, summer hits, birdsong, techno, Dvorak, ocean waves, film music, folk guitar, bossa nova, Vivaldi, morning radio, lullabies',
  'Chopin, swing classics, soft rock, cello suites, whale song, synth pop, Schubert',
);
export const chore = either(
  'water the plants, call the plumber, take out the bins, buy stamps, feed the cat, pay the rent, charge the bike, defrost the fish, renew the passport, wash the curtains, clean the filter',
  'order firewood, empty the dishwasher, collect the parcel, descale the kettle, ring the school, oil the hinges',
);
export const item = either(
  'oat milk, eggs, butter, tomatoes, washing powder, rye bread, batteries, coffee beans, olive oil, apples, toothpaste, flour, rice, candles, yoghurt',
  'lemons, goat cheese, paper towels, spinach, matches, brown sugar, cat food',
);
export const contact = either(
  'Mum, Dad, Anna Weber, Tom, Grandma, Dr Klein, Aunt Rosa, Felix, the neighbours, Priya, Uncle Bob, Mia Schmidt',
  'Grandpa, Lena, Mrs Novak, the landlord, Oliver, Cousin Jim',
);
export const message = either(
  'dinner is ready, I am on my way, the train is late, see you at six, the key is under the mat, thank you for the cake, the parcel has arrived, we need more milk, I forgot my charger',
  'the meeting took longer, I will be home soon, please bring salad, the heating works again, call me back later',
);
export const time = (random, heldOut) => {
  const hour = random.integer(0, 23);
  return `${String(hour).padStart(2, '0')}:${random.pick(heldOut ? ['05', '20', '40', '55'] : ['00', '15', '30', '45', '10', '50'])}`;
};
