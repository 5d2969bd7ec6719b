/** Words that fill the slots of the base corpus. None of them is needed later: the base learns to copy, whatever the word. */
const list = (words) => words.trim().split(/\s+/);

const FIRST =
  list(`Anna Ben Carla David Emma Felix Greta Hugo Ines Jonas Karin Liam Maja Nils Olga Paul Rita Sven Tara Uwe Vera
  Walt Yara Zoe Aisha Bao Chen Dina Emre Fatou Gita Hassan Ivan Jin Kofi Lucia Marta Noor Omar Priya Rosa Samir Tomas Umar Wei
  Yusuf Leon Clara Oskar Mila`);
const LAST =
  list(`Becker Costa Dahl Evans Fischer Garcia Hansen Ito Jensen Kowalski Lopez Moreau Novak Olsen Patel Quinn Rossi
  Silva Tanaka Ueda Vogel Weber Xu Young Zimmer Adler Brandt Cohen Diaz Eriksen Farah Gruber Haas Ibarra Jung Keller Lang Meyer`);
const CITIES =
  list(`Berlin Paris Madrid Lisbon Rome Vienna Prague Warsaw Oslo Dublin Zurich Milan Porto Ghent Basel Turin Lyon
  Naples Seville Bergen Malmo Riga Tallinn Athens Sofia Cairo Lagos Nairobi Tokyo Osaka Kyoto Seoul Delhi Mumbai Sydney Perth
  Toronto Montreal Boston Denver Austin Seattle Chicago Lima Quito Bogota Havana Santiago Dakar Hanoi`);
const NOUNS =
  list(`river stone garden winter summer market engine paper window mountain bridge forest island silver copper planet
  harbour violin camera bottle carpet circle desert dragon eagle falcon feather flower guitar hammer helmet honey jacket jungle
  kettle ladder lantern lemon library magnet marble meadow mirror needle ocean orange palace parrot pencil pepper pillow pirate
  pocket potato puzzle rabbit ribbon rocket saddle shadow ship signal spider spring square station storm sugar temple thunder
  ticket tiger tower train tunnel valley velvet village wagon wheel whale wizard wool yacht zebra apple basket budget candle
  chart cloud coin crown dance diary field frame ghost globe habit horse joke knife leaf moon nest onion piano queen report rope
  sail salt school seed shoe song sand tea team tooth tree wall wave wind wood world year`);
const ADJECTIVES =
  list(`old new blue red green golden quiet bright dark early final fresh frozen gentle giant hidden hollow huge
  happy lonely long lost lucky modern narrow north south east west perfect plain private public quick rapid rough round royal
  secret sharp silent simple small soft solid steady strange strong sweet tall tiny warm white wild wooden young annual daily
  global local open broken`);
const VERBS =
  list(`add adjust allow answer apply ask attach bake bind block boil bring build burn call carry catch change check choose
  claim clean clear climb close collect compare connect copy count cover cut deliver describe draw drop dry empty end fetch fill filter
  finish fix fold follow forget freeze give grow guess guide hang hide hold import join jump keep kick lead learn leave lend lift link
  list load look mail mark match melt merge mix modify mount move name notify obey offer open pack paint park pass pick pin place plant
  point polish pour print protect prove publish pull push put queue raise reach read record refuse reject release remove repair repeat
  replace reply report rescue reset resume return reverse ring save scan select sell separate serve set share shift show sign skip solve
  sort spread start steer stop store stretch switch tag take teach tell test throw tie touch trace trade train trim trust try tune turn
  type unpack update use verify view visit wait walk wash watch wear wipe wrap write zoom`);
const THINGS =
  list(`account actor address agent airport album alert anchor animal answer archive arrow artist author badge bag ball balloon
  band banner bar barrel bell bench bike bird block board boat body bone boot border box brain branch brand bread brick broom brush bubble
  bucket bug building bus business button cabin cable cage cake calendar call canal card case castle cat channel chapter child church
  circuit class clay clinic club coat code collar college colour column comment computer concert contact contest contract cook corner
  cotton council country course court cousin cow crane cream crop cross cup customer cycle dam data deal dealer debt deck deer desk detail
  device dialog dinner doctor dog doll domain dot dozen draft drawer dream dress driver drum duck dust ear earth edge editor effect egg
  energy engineer entry error estate event exam exit eye face factory family farm father fax feature fence festival fever fiber fight
  figure film finger fire fish flag flame flight flock folder food foot fork form fortune frog fruit fuel fund future game gas gate gift
  girl glass glove goal goat gold grade grain grass grid group guard guest guide hand hat head heart hill hint hole holiday hook hotel
  human ice icon idea image index ink insect invoice iron item job judge juice key kid king knot label lake lamb land lawyer layer leader
  league leg lesson letter level lid line link lion liquid load loan log machine mail manager map march mask master meal meat member
  memory menu metal meter method milk mine minute mission mode model money monkey month mouse mouth movie muscle name nation neck
  net network news night nose note number nurse object offer office oil option order organ owner packet page paint pair panel park part
  partner party path patient pattern payment peak pen people phone photo picture piece pig pin pipe pitch place plan plant plate player
  poem poet point police policy pool port post pot price print prize process product profile profit project proof pump pupil purse race
  rain rank rate record region rent request result rice ring risk road robot rock role roof root route row rule runner sample sand sauce
  scene school score screen script sea seat section sentence series server service session shade shape share sheep shelf shirt shop side
  sign size skill skin sky slide snake snow soap society soil soldier source space spoon sport staff stage stamp star state statue steam
  step stick stock storage store stream string student study style summer surface survey sword system table tail tank tape target tax
  teacher test text theme theory thread throat tie time tip title toe token tone tool topic total tour town toy track trade trail tube turn
  type unit user value vehicle version video view village voice vote wallet war water way weapon web week weight wing winner wire wolf
  woman word worker yard youth`);
/** Words of a household: they occur in what people say and write, never in a tool. */
const HOUSEHOLD =
  list(`alarm apples armchair attic barn bathroom batteries bed bedroom beans bins blanket blinds blues breakfast brown butter
  candles cellar ceiling charger cheese chimney clock coffee cousin cups cupboard curtain curtains dad daily dishes dishwasher door drain
  dusty eggs entrance filter firewood fish flour flowers forget fridge furnace garage grandma grandpa hall hallway handle heater heating
  hinges hobby home house ironing jazz jelly kettle keys kitchen lamp lamps landlord latte laundry lawn lemons light lights living loft loud
  lunch matches mattress message milk mop morning mug mum music nap neighbours nursery oat olive oven pans pantry parcel piano pillows plants
  plates playroom plug plumber porch quiet radio reminder rent rice room rooms roses salad sauna school shed shelves shopping shower sink
  sister sleep sofa soft songs sound spare speaker speakers spinach stairs stamps stereo stove studio sugar supper swing terrace thermostat
  tomatoes toothpaste towels tub turbo uncle vacuum veranda volume wake warm washing water weekdays weekends window workshop yoghurt`);
const SMALL = list(
  'the a my your is are was will to of in on at for with and or but not very too I we you it this that then here soon now off up down out over under me us our some more please ' +
    'should need want would like can could let make sure have has got back open closed half there no any all one two',
);
const SYLLABLES =
  list(`ba be bi bo ka ke ko ku da de di do fa fi fo ga go gu ha he ja jo la le li lo lu ma me mi mo mu na ne ni
  no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi xa xi yo za ze zo sha cha tha bra kra tri
  plo gre ston berg lin mar ver del nor wick ton ley ford dan kel ron`);

const capital = (word) => word[0].toUpperCase() + word.slice(1);

const CONSONANTS = list('b c d f g h j k l m n p qu r s t v w x z ch sh th ck st tr br pl gr cl sp ll ss nd ng rt mp');
const VOWELS = list('a a e e i i o o u y ea oo ai ou ee ie');

/** A word that no language has, of syllables or of any letters. */
export const invented = (random) =>
  random.chance(0.5)
    ? Array.from({ length: random.integer(2, 4) }, () => random.pick(SYLLABLES)).join('')
    : Array.from(
        { length: random.integer(1, 3) },
        () => `${random.pick(CONSONANTS)}${random.pick(VOWELS)}${random.chance(0.5) ? random.pick(CONSONANTS) : ''}`,
      ).join('');

export const verb = (random) => random.pick(VERBS);
export const noun = (random) => random.pick(random.chance(0.7) ? THINGS : NOUNS);
const word = (random) => {
  const kind = random.next();
  if (kind < 0.25) return invented(random);
  if (kind < 0.4) return verb(random);
  return kind < 0.65 ? random.pick(HOUSEHOLD) : noun(random);
};
/** Any few words, as in a message. */
export const sentence = (random) =>
  Array.from({ length: random.integer(2, 6) }, () => (random.chance(0.3) ? random.pick(SMALL) : word(random))).join(
    ' ',
  );
const name = (pool) => (random) => (random.chance(0.3) ? capital(invented(random)) : random.pick(pool));

export const firstName = name(FIRST);
export const fullName = (random) => `${firstName(random)} ${name(LAST)(random)}`;
export const person = (random) => (random.chance(0.5) ? firstName(random) : fullName(random));
export const city = name(CITIES);

/** Two to four words in lower case, such as "quiet river report". */
export const phrase = (random) => {
  const words = Array.from({ length: random.integer(1, 3) }, () => word(random));
  return (random.chance(0.6) ? [random.pick(ADJECTIVES), ...words] : [word(random), ...words]).slice(0, 4).join(' ');
};
/** One or two words in lower case. */
export const thing = (random) => (random.chance(0.5) ? word(random) : `${random.pick(ADJECTIVES)} ${word(random)}`);
/** Two or three words, each with a capital. */
export const title = (random) => phrase(random).split(' ').slice(0, 3).map(capital).join(' ');
export const company = (random) =>
  `${capital(word(random))} ${random.pick(['Works', 'Ltd', 'Bank', 'Energy', 'Foods', 'Labs'])}`;
export const code = (random) =>
  `${random.pick('ABCDEFGHKLMNPRSTUVWXYZ')}${random.pick('ABCDEFGHKLMNPRSTUVWXYZ')}${random.integer(100, 9999)}`;
export const identifier = (random) => `${word(random)}-${random.chance(0.5) ? word(random) : random.integer(1, 99)}`;
export const file = (random) => `${word(random)}.${random.pick(['pdf', 'png', 'txt', 'csv', 'doc'])}`;
export const clock = (random) =>
  `${String(random.integer(0, 23)).padStart(2, '0')}:${random.pick(['00', '15', '30', '45', '10', '50'])}`;
export const weekday = (random) =>
  random.pick(['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']);
export const street = (random) => `${capital(word(random))} ${random.pick(['Street', 'Road', 'Square', 'Lane'])}`;
