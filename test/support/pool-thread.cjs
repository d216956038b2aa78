// A thread for tests of ThreadPool: does what each job says.
const { parentPort, threadId } = require('node:worker_threads');

parentPort.on('message', ({ id, content }) => {
  if (content === 'exit') process.exit(3);
  if (content === 'throw') throw new TypeError('on purpose');
  if (content === 'never') return;
  parentPort.postMessage({ id, content: [threadId, content] });
});
