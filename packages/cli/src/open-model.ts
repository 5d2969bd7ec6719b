/** What commands do with --model and --dataset: find or download it, and load its weights, telling people how far they are. */
import { countDevices, Model } from '@gemmatune/engine';
import { resolveDataset, resolveModel } from '@gemmatune/hub';
import { type DeviceOptions, describeModel, megabytes } from '@gemmatune/run';
import type { Context } from './command.js';
import { type Progress, withProgress } from './terminal/progress.js';

/** The folder of a model, downloaded where need be. */
export function modelFolder(spec: string, { stderr, signal }: Context): Promise<string> {
  return withProgress(stderr, (progress) =>
    resolveModel(spec, { signal, onProgress: moved(progress, `Downloading ${spec}`) }),
  );
}

/** The files of a data set, downloaded where need be. */
export function datasetFiles(spec: string, split: string, { stderr, signal }: Context): Promise<string[]> {
  return withProgress(stderr, (progress) =>
    resolveDataset(spec, { split, signal, onProgress: moved(progress, `Downloading ${spec}`) }),
  );
}

/** Draws how far a transfer is. `total` is not always known. */
export function moved(progress: Progress, title: string) {
  return ({ file, loaded, total }: { file: string; loaded: number; total?: number }): void =>
    progress.update(title, total ? loaded / total : undefined, `${megabytes(loaded)} ${file}`);
}

/** Loads the weights, and says where and in which type it computes. */
export async function openModel(folder: string, options: DeviceOptions, context: Context): Promise<Model> {
  const { device, dtype, threads } = options;
  const model = await Model.load(folder, { device, dtype, threads });
  for (const line of modelLines(describeModel(model, options), dtype, context)) context.note(line);
  return model;
}

/** What is told of the place of computing: nothing that the call has said itself. */
export function modelLines(description: string, dtype: DeviceOptions['dtype'], { given }: Context): string[] {
  const named = given.has('device');
  return [
    ...(named && dtype !== 'auto' ? [] : [`Using ${description}.`]),
    ...(named || countDevices('cuda') === 0 ? [] : ['There is a GPU here: --device cuda computes on it.']),
  ];
}
