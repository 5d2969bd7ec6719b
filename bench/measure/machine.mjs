import { cpus, release, totalmem } from 'node:os';
import { devices, systemInfo } from '@gemmatune/engine';

/** @param {string} text @returns {string[]} */
const words = (text) =>
  text
    .toLowerCase()
    .replace(/\((r|tm)\)|\b(processor|cpu|core|[\w-]+-core)\b|@.*$/g, ' ')
    .match(/[a-z0-9]+/g) ?? [];

/**
 * The machine's name in paths: CPU, best instruction set in use, cores, GPUs. Two machines of one kind share it.
 * @param {{ cpu: string, instructionSet: string, cores: number, gpus: readonly { name: string }[] }} machine
 */
export function machineId({ cpu, instructionSet, cores, gpus }) {
  const best = instructionSet.split('+').at(-1);
  const cards = [...new Set(gpus.map(({ name }) => name))].map(
    (name) => `${words(name).join('-')}x${gpus.filter((gpu) => gpu.name === name).length}`,
  );
  return [...words(cpu), best, `${cores}c`, ...cards].join('-');
}

/**
 * @typedef {{ id: string, cpu: string, cores: number, memoryBytes: number, instructionSet: string, node: string, os: string,
 *   gpus: { device: string, name: string, path: 'sm75' | 'sm80', computeCapability: string, memoryBytes: number, driver: string | null }[] }} Machine
 */

/** What the numbers were measured on, without names of hosts or paths. @returns {Machine} */
export function describeMachine() {
  const { instructionSet, cores } = systemInfo();
  const gpus = devices('cuda').devices.map(({ device, name, path, computeCapability, memory, driver }) => ({
    device,
    name,
    path,
    computeCapability,
    memoryBytes: memory,
    driver,
  }));
  const cpu = cpus()[0]?.model.trim() || process.arch;
  const machine = {
    cpu,
    cores,
    memoryBytes: totalmem(),
    instructionSet,
    node: process.version,
    os: `${process.platform} ${release().split('.').slice(0, 2).join('.')}`,
    gpus,
  };
  return { id: machineId(machine), ...machine };
}
