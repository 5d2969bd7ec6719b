import { createRequire } from 'node:module';
import type { NativeModule } from './addon.js';

let loaded: NativeModule | undefined;

/** The addon, loaded on first use. Throws ERR_GEMMATUNE_NATIVE, saying what was tried, where it cannot be. */
export function native(): NativeModule {
  loaded ??= createRequire(import.meta.url)('gemmatune-native') as NativeModule;
  return loaded;
}

/** What this build and this machine have: instruction set in use, cores, fast bfloat16, backends. */
export function systemInfo(): ReturnType<NativeModule['info']> {
  return native().info();
}
