import { isHubId } from './repo.js';

/** Numbers, or what is to be shown, by the name of the metric, such as `tool_accuracy` or `tc_cer`. */
export type CardMetrics = Readonly<Record<string, number | string | null>>;

/** What a model card says; everything but the base model may be left out. */
export interface ModelCard {
  /** Title; also the repository in the examples. */
  name: string;
  baseModel: string;
  /** A Hub id, or words for where the rows came from. */
  dataset?: string;
  /** Rows trained on and held out. */
  trainRows?: number;
  evalRows?: number;
  /** Settings of the run, in the order to show. */
  settings?: Readonly<Record<string, string | number | boolean | null>>;
  /** CardMetrics on the same rows before and after training. */
  before?: CardMetrics;
  after?: CardMetrics;
  /** What the metrics were measured on, such as "50 held-out rows, greedy, 64 new tokens". */
  evaluation?: string;
  /** SPDX name or the Hub's own. Default `gemma`: a tuned Gemma stays under Gemma's terms. */
  license?: string;
  tags?: readonly string[];
}

/**
 * The text of a `README.md` that says what was trained on what, how, and what it brought: YAML front matter as the Hub
 * reads it, then data, settings, metrics before and after, use and licence.
 */
export function modelCard(card: ModelCard): string {
  const { name, baseModel, dataset, settings = {}, before = {}, after = {}, license = 'gemma' } = card;
  const sections = [
    frontMatter(card, license),
    `# ${name}`,
    `${onHub(baseModel) ? `[${baseModel}](https://huggingface.co/${baseModel})` : baseModel}, fine-tuned for function calling with gemmatune.`,
  ];

  const data = [
    dataset && `- Data set: ${onHub(dataset) ? `[${dataset}](https://huggingface.co/datasets/${dataset})` : dataset}`,
    card.trainRows !== undefined && `- Rows trained on: ${card.trainRows}`,
    card.evalRows !== undefined && `- Rows held out: ${card.evalRows}`,
  ].filter((line) => typeof line === 'string');
  if (data.length > 0) sections.push('## Data', data.join('\n'));

  const settingRows = Object.entries(settings).map(([key, value]) => [`\`${key}\``, String(value)]);
  if (settingRows.length > 0) sections.push('## Settings', table(['setting', 'value'], settingRows));

  const metricNames = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  if (metricNames.length > 0) {
    const rows = metricNames.map((metric) => [`\`${metric}\``, shown(before[metric]), shown(after[metric])]);
    sections.push('## Results', ...(card.evaluation ? [`Measured on ${card.evaluation}.`] : []));
    sections.push(table(['metric', 'before', 'after'], rows));
  }
  sections.push('## Use', usage(name), '## Licence', licenceText(license));
  return `${sections.join('\n\n')}\n`;
}

function frontMatter(card: ModelCard, license: string): string {
  const lines = [`license: ${yaml(license)}`, 'library_name: transformers', 'pipeline_tag: text-generation'];
  if (onHub(card.baseModel)) lines.push(`base_model: ${yaml(card.baseModel)}`);
  if (card.dataset && onHub(card.dataset)) lines.push('datasets:', `- ${yaml(card.dataset)}`);
  const tags = new Set(['function-calling', 'functiongemma', 'gemmatune', ...(card.tags ?? [])]);
  lines.push('tags:', ...[...tags].map((tag) => `- ${yaml(tag)}`));
  return ['---', ...lines, '---'].join('\n');
}

function usage(name: string): string {
  return `\`\`\`sh
npx gemmatune generate --model ${name} --max-new-tokens 128 --in prompts.jsonl
\`\`\`

Each line of \`prompts.jsonl\` is \`{"messages": [{"role": "user", "content": "…"}], "tools": […]}\`. In Python:

\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("${name}")
model = AutoModelForCausalLM.from_pretrained("${name}")
inputs = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, return_dict=True, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=128)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:]))
\`\`\``;
}

function licenceText(license: string): string {
  return license === 'gemma'
    ? 'Gemma is provided under and subject to the [Gemma Terms of Use](https://ai.google.dev/gemma/terms).'
    : `This model is under the licence ${license}.`;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Four digits after the point at most, and a dash for what was not measured. */
function shown(value: number | string | null | undefined): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '-' : String(Number(value.toFixed(4)));
}

/** A plain word as it is, anything else as a JSON string, which YAML reads too. */
function yaml(text: string): string {
  return /^[A-Za-z][\w./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

/** A name that the Hub can link; a data file on disk is none. */
function onHub(text: string): boolean {
  return isHubId(text) && text.includes('/') && !/\.(jsonl?|parquet)$/.test(text);
}
