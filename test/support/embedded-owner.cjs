// A process that owns an embedded database and writes to it until it is killed. Prints one JSON
// line with the server's address, then the number of each document that a majority acknowledged.
const { MongoClient } = require('mongodb');
const { EmbeddedMongod } = require('../../dist/src/mongo/embedded-mongod.js');

async function main() {
  const [dataDir, binary] = process.argv.slice(2);
  const mongod = await EmbeddedMongod.start({ dataDir, binary });
  console.log(JSON.stringify({ pid: mongod.pid, uri: mongod.uri }));
  const client = new MongoClient(mongod.uri, { writeConcern: { w: 'majority' } });
  const documents = client.db('kept').collection('documents');
  for (let _id = 1; ; _id++) {
    await documents.insertOne({ _id });
    console.log(_id);
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
