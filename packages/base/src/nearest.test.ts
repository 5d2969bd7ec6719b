import { describe, expect, it } from 'vitest';
import { editDistance, nearestName } from './nearest.js';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['model', 'model', 0],
    ['modle', 'model', 1],
    ['omdle', 'model', 2],
    ['kitten', 'sitting', 3],
    // No part of a text is edited twice: ca → ac → abc would be 2.
    ['ca', 'abc', 3],
  ])('%s → %s: %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('nearestName', () => {
  it.each([
    ['modle', 'model'],
    ['max-stpes', 'maxSteps'],
    ['MAX_STEPS', 'maxSteps'],
    ['traiin', 'train'],
    ['zzz', undefined],
    ['x', undefined],
  ])('%s: %s', (name, meant) => {
    expect(nearestName(name, ['model', 'maxSteps', 'train'])).toBe(meant);
  });
});
