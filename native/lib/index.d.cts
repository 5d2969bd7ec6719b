// The typed boundary is packages/engine/src/addon.ts; this package only finds the binary.
declare const addon: unknown;
export = addon;
