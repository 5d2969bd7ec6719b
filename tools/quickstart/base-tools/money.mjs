/** Money. */
import { boolean, choice, integer, optional, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY', 'CHF', 'SEK'];

export const MONEY = [
  tool(
    'convert_currency',
    'Convert money to another currency',
    {
      amount: integer('Amount of money', 5, 9000),
      source: choice('Currency to convert', CURRENCIES),
      target: choice('Currency to get', CURRENCIES),
    },
    [
      'convert {amount} {source} to {target}',
      'how much is {amount} {source} in {target}',
      'what are {amount} {source} worth in {target}',
      'exchange {amount} {source} into {target}',
    ],
  ),
  tool(
    'transfer_money',
    'Send money to a person',
    { recipient: text('Person to pay', words.person), amount: integer('Amount in euros', 1, 5000) },
    [
      'transfer {amount} euros to {recipient}',
      'pay {recipient} {amount} euros',
      'wire {amount} euros to {recipient}',
      'give {recipient} {amount} euros from my account',
    ],
  ),
  tool(
    'check_balance',
    'Balance of a bank account',
    { account: choice('Which account', ['savings', 'checking', 'business']) },
    [
      'what is the balance of my {account} account',
      'how much money is in my {account} account',
      'check my {account} account',
      'show {account} balance',
    ],
  ),
  tool(
    'pay_bill',
    'Pay the bill of a company',
    { company: text('Company to pay', words.company), monthly: optional(boolean('Repeat every month')) },
    [
      'pay the bill from {company}',
      'settle my {company} bill',
      'pay {company} every month {monthly=true}',
      'pay {company} just this once {monthly=false}',
    ],
  ),
  tool(
    'stock_price',
    'Price of a share',
    { symbol: text('Ticker symbol', (r) => r.sample([...'ABCDEFGHIKLMNOPRSTUVXZ'], r.integer(3, 4)).join('')) },
    [
      'what is the price of {symbol}',
      'how is {symbol} stock doing',
      'quote for {symbol} shares',
      'share price of {symbol}',
    ],
  ),
  tool(
    'split_bill',
    'Split an amount between people',
    { amount: integer('Amount to split', 10, 900), people: integer('Number of people', 2, 12) },
    [
      'split {amount} euros between {people} people',
      'we are {people} people and the bill is {amount}',
      'divide {amount} by {people} friends',
    ],
  ),
];
