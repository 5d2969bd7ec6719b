// Holds Kubernetes manifests against the schemas of custom resource definitions: `node scripts/check-manifests.mjs --crds DIR [FILE…]`. An unknown
// field is an error. DIR has the CRDs of JobSet (kubernetes-sigs/jobset, config/components/crd/bases) and Kubeflow Trainer (kubeflow/trainer,
// manifests/base/crds). What only a cluster knows (CEL rules, webhooks, names of other objects) is not checked.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Ajv } from 'ajv';
import { parseAllDocuments } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * The documents of a YAML file, empty ones left out.
 * @param {string} file
 * @returns {any[]} throws naming the file where it is no YAML
 */
export function readManifests(file) {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => {
      const [error] = document.errors;
      if (error) throw new Error(`${file}: ${error.message}`);
      return document.toJS();
    })
    .filter((value) => value !== null);
}

/** Manifests of this checkout. */
export function exampleFiles() {
  return readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(root, 'examples', name));
}

/**
 * Schemas by `apiVersion kind`. A plain Job is judged by the template of a JobSet's jobs.
 * @param {string} folder with CRDs
 * @returns {Map<string, object>}
 */
export function readSchemas(folder) {
  const schemas = new Map();
  for (const name of readdirSync(folder).filter((name) => /\.ya?ml$/.test(name)))
    for (const { kind, spec } of readManifests(join(folder, name))) {
      if (kind !== 'CustomResourceDefinition') continue;
      for (const { name: version, schema } of spec.versions)
        schemas.set(`${spec.group}/${version} ${spec.names.kind}`, closed(schema.openAPIV3Schema));
    }
  const jobs = schemas.get('jobset.x-k8s.io/v1alpha2 JobSet')?.properties.spec.properties.replicatedJobs;
  if (jobs) {
    const { spec } = jobs.items.properties.template.properties;
    const text = { type: 'string' };
    const properties = { apiVersion: text, kind: text, metadata: { type: 'object' }, spec };
    schemas.set('batch/v1 Job', { type: 'object', properties, required: ['spec'], additionalProperties: false });
  }
  return schemas;
}

/** JSON schema of an OpenAPI v3 one, in which objects have the fields that they name and no other. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const result = Object.fromEntries(
    Object.entries(schema)
      .filter(([name]) => !name.startsWith('x-kubernetes-'))
      .map(([name, value]) => [name, name === 'default' || name === 'enum' ? value : closed(value)]),
  );
  // A field may itself be called `properties`: then it is a schema, not a map of schemas.
  const open = schema['x-kubernetes-preserve-unknown-fields'] || schema.additionalProperties !== undefined;
  if (schema.type === 'object' && schema.properties && !open) result.additionalProperties = false;
  return result;
}

/**
 * @param {any} manifest
 * @param {Map<string, object>} schemas
 * @returns {string[]} what is wrong; empty where nothing is
 */
export function faultsOf(manifest, schemas) {
  const name = `${manifest?.apiVersion} ${manifest?.kind}`;
  const schema = schemas.get(name);
  if (!schema) return [`no schema for ${name}; there are ${[...schemas.keys()].join(', ')}`];
  const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
  validate(manifest);
  return (validate.errors ?? []).map(({ instancePath, message, params }) => {
    const field = params.additionalProperty ? ` (${params.additionalProperty})` : '';
    return `${instancePath || '/'}: ${message}${field}`;
  });
}

/** @returns the number of faults, each printed */
function check(crds, files) {
  const schemas = readSchemas(crds);
  let faults = 0;
  for (const file of files)
    for (const manifest of readManifests(file)) {
      const found = faultsOf(manifest, schemas);
      const where = `${relative(root, file)}, ${manifest.kind} ${manifest.metadata?.name}`;
      console.log(found.length === 0 ? `${where}: good` : found.map((fault) => `${where}: ${fault}`).join('\n'));
      faults += found.length;
    }
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ options: { crds: { type: 'string' } }, allowPositionals: true });
  if (!values.crds) throw new Error('--crds is missing: expected a folder with custom resource definitions');
  process.exitCode = check(values.crds, positionals.length > 0 ? positionals : exampleFiles()) === 0 ? 0 : 1;
}
