// Counts instructions in a cubin (ELF64) without a disassembler: from sm_70 on an instruction is 16 bytes, its opcode the low 12 bits,
// and bits 73 to 75 of a load or store are its width.

/** Opcodes as they come out of ptxas for sm_75 to sm_90; checked against nvdisasm. */
const OPCODES = new Map([
  [0x23c, 'hmma'],
  [0x83b, 'ldsm'],
  [0x381, 'ldg'],
  [0x981, 'ldg'],
  [0x386, 'stg'],
  [0x986, 'stg'],
  [0xfae, 'ldgsts'],
  [0x304, 'f2f'],
]);
const WIDTHS = [8, 8, 16, 16, 32, 64, 128];

/** Attribute of a kernel's .nv.info section: __launch_bounds__, as three numbers. */
const EIATTR_MAX_THREADS = 0x05;

function sections(elf) {
  const header = Number(elf.readBigUInt64LE(40));
  const [size, count, names] = [elf.readUInt16LE(58), elf.readUInt16LE(60), elf.readUInt16LE(62)];
  const at = (i) => header + i * size;
  const begin = (i) => Number(elf.readBigUInt64LE(at(i) + 24));
  return Array.from({ length: count }, (_, i) => {
    const name = begin(names) + elf.readUInt32LE(at(i));
    const bytes = Number(elf.readBigUInt64LE(at(i) + 32));
    return {
      name: elf.toString('latin1', name, elf.indexOf(0, name)),
      data: elf.subarray(begin(i), begin(i) + bytes),
    };
  });
}

function maxThreads(info) {
  for (let p = 0; p < info.length; ) {
    const [format, attribute, value] = [info[p], info[p + 1], info.readUInt16LE(p + 2)];
    p += 4;
    if (format !== 4) continue; // the value is `value` itself; format 4: so many bytes follow
    if (attribute === EIATTR_MAX_THREADS)
      return info.readUInt32LE(p) * info.readUInt32LE(p + 4) * info.readUInt32LE(p + 8);
    p += value;
  }
  return null;
}

function count(code) {
  const counts = { instructions: code.length / 16, hmma: 0, ldsm: 0, ldgsts: 0, f2f: 0, ldg: {}, stg: {} };
  for (let p = 0; p < code.length; p += 16) {
    const name = OPCODES.get(code.readUInt16LE(p) & 0xfff);
    if (name === 'ldg' || name === 'stg') {
      const bits = WIDTHS[(code[p + 9] >> 1) & 7] ?? 128;
      counts[name][bits] = (counts[name][bits] ?? 0) + 1;
    } else if (name) counts[name]++;
  }
  return counts;
}

/**
 * Of each kernel, by its mangled name: threads (__launch_bounds__, null without) and instruction counts: hmma (tensor cores), ldsm
 * (ldmatrix), ldgsts (cp.async), f2f (a conversion between float16 and float32), ldg and stg (global loads and stores, by bits).
 * @param {Buffer} elf
 */
export function readCubin(elf) {
  const kernels = {};
  const all = sections(elf);
  for (const { name, data } of all) {
    if (!name.startsWith('.text.')) continue;
    const kernel = name.slice('.text.'.length);
    const info = all.find((s) => s.name === `.nv.info.${kernel}`);
    if (info) kernels[kernel] = { threads: maxThreads(info.data), ...count(data) };
  }
  return kernels;
}
