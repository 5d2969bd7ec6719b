/** Knowledge, school and play. */
import { choice, integer, optional, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

export const LEISURE = [
  tool('define_word', 'Meaning of a word', { word: text('Word to explain', (r) => words.thing(r).split(' ').at(-1)) }, [
    'what does {word} mean',
    'define {word}',
    'look up the word {word}',
    'meaning of {word}',
  ]),
  tool(
    'find_book',
    'Find a book',
    { title: text('Title of the book', words.title), author: optional(text('Who wrote it', words.fullName)) },
    [
      'find the book {title}',
      'do you have {title} by {author}',
      'look for the novel {title} written by {author}',
      'where is the book called {title}',
    ],
  ),
  tool(
    'search_movies',
    'Find films',
    {
      genre: choice('Kind of film', ['comedy', 'drama', 'horror', 'action']),
      year: integer('Year of release', 1950, 2024),
    },
    [
      'find a {genre} from {year}',
      'which {genre} films came out in {year}',
      'show {genre} movies of {year}',
      'I want to see a {year} {genre} film',
    ],
  ),
  tool(
    'start_quiz',
    'Start a quiz',
    { topic: text('What it is about', words.thing), questions: integer('Number of questions', 3, 30) },
    [
      'start a quiz about {topic} with {questions} questions',
      'ask me {questions} questions about {topic}',
      'quiz me on {topic}, {questions} questions',
    ],
  ),
  tool(
    'enroll_student',
    'Sign a student up for a course',
    { student: text('Name of the student', words.fullName), course: text('Name of the course', words.title) },
    [
      'enroll {student} in {course}',
      'sign {student} up for {course}',
      'add {student} to the course {course}',
      '{student} wants to take {course}',
    ],
  ),
  tool(
    'grade_essay',
    'Enter the points of an essay',
    { student: text('Name of the student', words.person), points: integer('Points', 0, 100) },
    [
      'give {student} {points} points for the essay',
      'grade the essay of {student} with {points}',
      '{student} gets {points} points',
      'essay of {student}: {points} points',
    ],
  ),
  tool(
    'create_character',
    'Create a character in a game',
    {
      name: text('Name of the character', words.firstName),
      role: choice('What it is', ['knight', 'archer', 'healer', 'thief']),
      level: integer('First level', 1, 60),
    },
    [
      'create a {role} called {name} at level {level}',
      'make a level {level} {role} named {name}',
      'new character {name}, {role}, level {level}',
    ],
  ),
  tool('roll_dice', 'Roll dice', { sides: integer('Sides of each', 4, 20), count: integer('How many', 1, 9) }, [
    'roll {count} dice with {sides} sides',
    'throw {count} {sides} sided dice',
    'give me {count} rolls of a {sides} sided die',
  ]),
  tool(
    'register_pet',
    'Register a pet',
    {
      name: text('Name of the pet', words.firstName),
      species: choice('Kind of animal', ['dog', 'cat', 'bird', 'fish']),
    },
    [
      'register my {species} {name}',
      'add a {species} called {name}',
      'I have a new {species}, the name is {name}',
      'my {species} {name} needs to be registered',
    ],
  ),
  tool(
    'plan_trip',
    'Plan a trip',
    {
      country: text('Where to', words.title),
      weeks: integer('Length in weeks', 1, 12),
      budget: optional(integer('Money to spend', 200, 9000, 100)),
    },
    [
      'plan a trip to {country} for {weeks} weeks',
      'we travel to {country} for {weeks} weeks with {budget} euros',
      'make a travel plan: {country}, {weeks} weeks',
      'holiday in {country}, {weeks} weeks, budget {budget}',
    ],
  ),
  tool(
    'measure_distance',
    'Distance between two cities',
    {
      from: text('First city', words.city),
      to: text('Second city', words.city),
      unit: choice('Unit of the result', ['kilometres', 'miles']),
    },
    [
      'how far is it from {from} to {to} in {unit}',
      'distance between {from} and {to} in {unit}',
      'how many {unit} from {from} to {to}',
    ],
  ),
];
