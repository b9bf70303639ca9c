import type { AuthQuerySource } from '../auth/auth-query.ts';
import type { PendingPlan } from '../auth/login-plan.ts';
import { questionKey } from '../auth/user-lookups.ts';
import type { ClientConnection } from '../client/client-connection.ts';

/** Clients whose login waits until their user has been looked up, and what they wait for. */
export class WaitingLogins {
  /** Keys of questions. */
  readonly #questions = new Map<ClientConnection, string>();

  /** Keeps a client in mind while its plan is pending. @returns the plan to use instead. */
  watch(
    client: ClientConnection,
    plan: PendingPlan,
    { source, user }: { readonly source: AuthQuerySource; readonly user: string },
  ): PendingPlan {
    return {
      ...plan,
      wait: (done) => {
        this.#questions.set(client, questionKey(source, user));
        const cancel = plan.wait((outcome) => {
          this.#questions.delete(client);
          done(outcome);
        });
        return () => {
          this.#questions.delete(client);
          cancel();
        };
      },
    };
  }

  /** The key of what a client waits for; null when it does not. */
  questionOf(client: ClientConnection): string | null {
    return this.#questions.get(client) ?? null;
  }
}
