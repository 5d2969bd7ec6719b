/** Shops and food. */
import { boolean, choice, integer, optional, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

export const SHOPS = [
  tool(
    'search_products',
    'Search the shop',
    { query: text('What to look for', words.thing), max_price: optional(integer('Highest price', 5, 900)) },
    [
      'search for a {query} in the shop',
      'show me products like {query}',
      'find a {query} under {max_price} euros',
      'I want to buy a {query} for at most {max_price} euros',
      'do you sell {query}',
    ],
  ),
  tool('track_order', 'Where an order is', { order: text('Number of the order', words.code) }, [
    'where is my order {order}',
    'track order {order}',
    'has {order} been shipped',
    'when does parcel {order} arrive',
  ]),
  tool(
    'cancel_order',
    'Cancel an order',
    { order: text('Number of the order', words.code), refund: boolean('Pay the money back') },
    [
      'cancel order {order} and refund me {refund=true}',
      'cancel {order} with money back {refund=true}',
      'cancel order {order} without refund {refund=false}',
      'stop order {order}, no refund {refund=false}',
    ],
  ),
  tool(
    'review_product',
    'Write a review',
    { product: text('Product to review', words.thing), stars: integer('Stars', 1, 5) },
    [
      'give the {product} {stars} stars',
      'rate {product} with {stars} stars',
      'I review the {product}: {stars} stars',
      'leave a {stars} star review for {product}',
    ],
  ),
  tool(
    'find_recipe',
    'Find a recipe',
    { dish: text('Dish or ingredient', words.thing), vegetarian: optional(boolean('Without meat')) },
    [
      'find a recipe for {dish}',
      'how do I cook {dish}',
      'vegetarian recipe with {dish} {vegetarian=true}',
      'recipe for {dish} without meat {vegetarian=true}',
      'what can I cook with {dish}',
    ],
  ),
  tool(
    'order_pizza',
    'Order pizza',
    {
      size: choice('Size', ['small', 'medium', 'large']),
      topping: text('What is on it', words.thing),
      count: optional(integer('Number of pizzas', 1, 8)),
    },
    [
      'order a {size} pizza with {topping}',
      'I would like {count} {size} pizzas with {topping}',
      'one {size} {topping} pizza',
      'get {count} {size} pizzas, topping {topping}',
    ],
  ),
  tool(
    'book_table',
    'Book a table in a restaurant',
    {
      restaurant: text('Name of the restaurant', words.title),
      people: integer('Number of guests', 1, 12),
      time: text('Time as HH:MM', words.clock),
    },
    [
      'book a table at {restaurant} for {people} at {time}',
      'reserve {people} seats in {restaurant} at {time}',
      'table for {people} people at {time} in {restaurant}',
      'we want to eat at {restaurant}, {people} people, {time}',
    ],
  ),
];
