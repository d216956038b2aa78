import { type ClientSession, type Db } from 'mongodb';

/**
 * Runs `work` so that all of its writes count or none does. It can run several times, when others
 * write to the same documents: it must do nothing but through the session.
 */
export async function inTransaction<T>(
  { client }: Db,
  work: (session: ClientSession) => Promise<T>,
): Promise<T> {
  return await client.withSession(
    async (session) => await session.withTransaction(async () => await work(session)),
  );
}
