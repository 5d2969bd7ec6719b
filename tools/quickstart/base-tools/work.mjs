/** Office work. */
import { boolean, choice, integer, optional, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

const LANGUAGES = ['French', 'German', 'Spanish', 'Italian', 'Japanese', 'Polish'];

export const WORK = [
  tool(
    'create_invoice',
    'Write an invoice',
    { customer: text('Who pays', words.company), amount: integer('Amount in euros', 20, 9000) },
    [
      'create an invoice for {customer} over {amount} euros',
      'bill {customer} for {amount} euros',
      'invoice {customer}, {amount} euros',
      'write an invoice of {amount} euros to {customer}',
    ],
  ),
  tool(
    'schedule_meeting',
    'Put a meeting in the calendar',
    {
      subject: text('What it is about', words.phrase),
      day: text('Day of the week', words.weekday),
      minutes: optional(integer('Length in minutes', 15, 120, 15)),
    },
    [
      'schedule a meeting about {subject} on {day}',
      'plan a {minutes} minute meeting on {day} about {subject}',
      'put a meeting on {day}: {subject}',
      'meet on {day} to discuss {subject}',
      'set up a {minutes} minute call about {subject} for {day}',
    ],
  ),
  tool(
    'send_email',
    'Send an email',
    { recipient: text('Who gets it', words.person), subject: text('Subject line', words.phrase) },
    [
      'send an email to {recipient} about {subject}',
      'email {recipient} with the subject {subject}',
      'write a mail to {recipient}, subject {subject}',
      'mail {recipient} about {subject}',
    ],
  ),
  tool(
    'create_ticket',
    'Open a support ticket',
    {
      title: text('What is wrong', words.phrase),
      priority: choice('How urgent it is', ['low', 'medium', 'high', 'urgent']),
    },
    [
      'create a {priority} priority ticket: {title}',
      'open a ticket called {title} with priority {priority}',
      'file a {priority} ticket about {title}',
      'report a problem with {title}, priority {priority}',
    ],
  ),
  tool(
    'assign_task',
    'Give a task to somebody',
    { task: text('What to do', words.phrase), person: text('Who does it', words.person) },
    [
      'assign {task} to {person}',
      'let {person} do {task}',
      '{person} should take care of {task}',
      'give the task {task} to {person}',
    ],
  ),
  tool(
    'translate_text',
    'Translate a text',
    { text: text('Text to translate', words.phrase), language: choice('Language to translate to', LANGUAGES) },
    [
      'translate {text} to {language}',
      'how do you say {text} in {language}',
      'what is {text} in {language}',
      'put {text} into {language}',
    ],
  ),
  tool(
    'summarize_document',
    'Make a short version of a file',
    { file: text('Name of the file', words.file), sentences: optional(integer('Sentences to write', 1, 10)) },
    [
      'summarize {file}',
      'give me a summary of {file} in {sentences} sentences',
      'shorten {file} to {sentences} sentences',
      'what does {file} say',
    ],
  ),
  tool(
    'share_file',
    'Share a file with somebody',
    {
      file: text('Name of the file', words.file),
      person: text('Who gets access', words.person),
      editable: optional(boolean('Allow changes')),
    },
    [
      'share {file} with {person}',
      'give {person} access to {file}',
      'let {person} edit {file} {editable=true}',
      'share {file} with {person} read only {editable=false}',
    ],
  ),
];
