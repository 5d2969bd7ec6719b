/** What the base model is trained on: travel, money, shops, health, work, code, school. Nothing of a home. */
import { HEALTH } from './health.mjs';
import { LEISURE } from './leisure.mjs';
import { MONEY } from './money.mjs';
import { SERVERS } from './servers.mjs';
import { SHOPS } from './shops.mjs';
import { TRAVEL } from './travel.mjs';
import { WORK } from './work.mjs';

export const BASE_TOOLS = [...TRAVEL, ...MONEY, ...SHOPS, ...HEALTH, ...WORK, ...SERVERS, ...LEISURE];
