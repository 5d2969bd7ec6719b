/** Code, servers and files. */
import { boolean, choice, integer, optional, text, tool } from '../grammar.mjs';
import * as words from '../words.mjs';

export const SERVERS = [
  tool(
    'run_tests',
    'Run the tests of a package',
    { package: text('Name of the package', words.identifier), coverage: optional(boolean('Measure coverage')) },
    [
      'run the tests of {package}',
      'test {package}',
      'test {package} with coverage {coverage=true}',
      'run {package} tests without coverage {coverage=false}',
    ],
  ),
  tool(
    'deploy_service',
    'Deploy a service',
    {
      service: text('Name of the service', words.identifier),
      stage: choice('Where to', ['staging', 'production', 'preview']),
    },
    [
      'deploy {service} to {stage}',
      'roll out {service} on {stage}',
      'ship {service} to {stage}',
      'release {service} in {stage}',
    ],
  ),
  tool(
    'restart_server',
    'Restart a server',
    { host: text('Name of the server', words.identifier), force: optional(boolean('Do not wait for jobs')) },
    [
      'restart {host}',
      'reboot the server {host}',
      'restart {host} at once without waiting {force=true}',
      'force a reboot of {host} {force=true}',
    ],
  ),
  tool(
    'create_branch',
    'Create a branch in git',
    {
      name: text('Name of the branch', words.identifier),
      base: optional(choice('Where it starts', ['main', 'develop', 'release'])),
    },
    [
      'create a branch called {name}',
      'new branch {name} from {base}',
      'start {name} off {base}',
      'make a git branch {name}',
    ],
  ),
  tool(
    'query_table',
    'Read rows of a table',
    { table: text('Name of the table', words.identifier), limit: integer('Most rows to read', 1, 500) },
    [
      'show {limit} rows of {table}',
      'read the first {limit} rows from {table}',
      'select {limit} rows from table {table}',
      'query {table} for {limit} rows',
    ],
  ),
  tool(
    'search_logs',
    'Search log lines',
    {
      query: text('Words to find', words.thing),
      hours: integer('How far back in hours', 1, 72),
      level: optional(choice('Level of the lines', ['info', 'warning', 'error'])),
    },
    [
      'search the logs for {query} in the last {hours} hours',
      'find {level} lines with {query} from the past {hours} hours',
      'which logs mention {query} since {hours} hours',
    ],
  ),
  tool(
    'resize_image',
    'Change the size of a picture',
    { file: text('Picture file', words.file), width: integer('Width in pixels', 50, 4000, 50) },
    [
      'resize {file} to {width} pixels',
      'make {file} {width} pixels wide',
      'scale the picture {file} to a width of {width}',
    ],
  ),
  tool(
    'convert_file',
    'Save a file in another format',
    { file: text('File to convert', words.file), format: choice('Format to write', ['pdf', 'png', 'csv', 'html']) },
    [
      'convert {file} to {format}',
      'save {file} as {format}',
      'turn {file} into a {format}',
      'export {file} in {format} format',
    ],
  ),
];
