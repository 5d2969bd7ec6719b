import { describe, expect, it } from 'vitest';
import { optionsForRows } from './by-rows.js';
import { resolveTrainOptions } from './config.js';
import { freshState, trainerStateText } from './state.js';

describe('trainerStateText', () => {
  it('is the file TRL 1.13 wrote, character for character', () => {
    const given = { perDeviceTrainBatchSize: 2, loggingSteps: 1, evalSteps: 2, saveSteps: 2 };
    const { options } = optionsForRows(resolveTrainOptions(given), 21);
    const plan = {
      itemsPerBatch: 2,
      batchesPerUpdate: 4,
      batchesPerEpoch: 11,
      updatesPerEpoch: 3,
      maxSteps: 6,
      epochs: 2,
      warmupSteps: 2,
    };
    const state = {
      ...freshState(),
      step: 2,
      logHistory: [
        {
          loss: 4.1699957847595215,
          grad_norm: 1.4976742267608643,
          learning_rate: 0.0025,
          entropy: 4.155896067619324,
          num_tokens: 163,
          mean_token_accuracy: 0.029230769723653793,
          epoch: 0.7272727272727273,
          step: 2,
        },
        {
          eval_loss: 4.155020713806152,
          eval_runtime: 0.01,
          eval_samples_per_second: 703.472,
          eval_steps_per_second: 301.488,
          eval_entropy: 4.155725002288818,
          eval_num_tokens: 163,
          eval_mean_token_accuracy: 0.03030303120613098,
          epoch: 0.7272727272727273,
          step: 2,
        },
      ],
    };
    const text = trainerStateText(state, plan, options, { totalFlos: 5004288, bestFolder: null, saving: true });
    expect(text).toBe(EXPECTED);
  });
});

const EXPECTED = `{
  "best_global_step": null,
  "best_metric": null,
  "best_model_checkpoint": null,
  "epoch": 0.7272727272727273,
  "eval_steps": 2,
  "global_step": 2,
  "is_hyper_param_search": false,
  "is_local_process_zero": true,
  "is_world_process_zero": true,
  "log_history": [
    {
      "entropy": 4.155896067619324,
      "epoch": 0.7272727272727273,
      "grad_norm": 1.4976742267608643,
      "learning_rate": 0.0025,
      "loss": 4.1699957847595215,
      "mean_token_accuracy": 0.029230769723653793,
      "num_tokens": 163.0,
      "step": 2
    },
    {
      "epoch": 0.7272727272727273,
      "eval_entropy": 4.155725002288818,
      "eval_loss": 4.155020713806152,
      "eval_mean_token_accuracy": 0.03030303120613098,
      "eval_num_tokens": 163.0,
      "eval_runtime": 0.01,
      "eval_samples_per_second": 703.472,
      "eval_steps_per_second": 301.488,
      "step": 2
    }
  ],
  "logging_steps": 1,
  "max_steps": 6,
  "num_input_tokens_seen": 0,
  "num_train_epochs": 2,
  "save_steps": 2,
  "stateful_callbacks": {
    "TrainerControl": {
      "args": {
        "should_epoch_stop": false,
        "should_evaluate": false,
        "should_log": false,
        "should_save": true,
        "should_training_stop": false
      },
      "attributes": {}
    }
  },
  "total_flos": 5004288.0,
  "train_batch_size": 2,
  "trial_name": null,
  "trial_params": null
}
`;
