import { InputError } from '@gemmatune/base';
import { EngineError } from '@gemmatune/engine';
import { HubError } from '@gemmatune/hub';
import { TemplateError } from '@gemmatune/template';
import { TokenizerFormatError } from '@gemmatune/tokenizer';
import { TrainError } from '@gemmatune/train';
import { describe, expect, it } from 'vitest';
import { exitStatus, explanation } from './exit-status.js';

describe('exitStatus', () => {
  it.each([
    [new InputError('x'), 2],
    [new TemplateError('x'), 2],
    [new TokenizerFormatError('x'), 2],
    [new EngineError('ERR_GEMMATUNE_SHAPE', 'x'), 2],
    [new EngineError('ERR_GEMMATUNE_FILE', 'x'), 2],
    [new EngineError('ERR_GEMMATUNE_DEVICE', 'x'), 2],
    [new EngineError('ERR_GEMMATUNE_MEMORY', 'x'), 1],
    [new EngineError('ERR_GEMMATUNE_INTERNAL', 'x'), 1],
    [new TrainError('ERR_GEMMATUNE_RESUME', 'x'), 2],
    [new EngineError('ERR_GEMMATUNE_RANK', 'x'), 1],
    [new TrainError('ERR_GEMMATUNE_DIVERGED', 'x'), 4],
    [new HubError('ERR_GEMMATUNE_HUB_ACCESS', 'x'), 2],
    [new HubError('ERR_GEMMATUNE_HUB_NETWORK', 'x'), 2],
    [new HubError('ERR_GEMMATUNE_HUB_SERVER', 'x'), 1],
    [Object.assign(new Error('x'), { code: 'ENOSPC' }), 2],
    [new DOMException('x', 'AbortError'), 130],
    [new TypeError('x is not a function'), 1],
    ['a text', 1],
  ])('%s: %i', (error, status) => {
    expect(exitStatus(error)).toBe(status);
  });
});

describe('explanation', () => {
  it('is one sentence, and with verbose the stack and its causes', () => {
    const error = new InputError('a.json: wrong.', { cause: new Error('why') });
    expect(explanation(error, false)).toBe('a.json: wrong.');
    expect(explanation(error, true)).toMatch(/InputError: a\.json: wrong\.\n\s+at .*\ncaused by Error: why\n\s+at /s);
    expect(explanation(new TypeError('x'), false)).toBe('TypeError: x (--verbose tells where)');
  });
});
