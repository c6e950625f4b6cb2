package server

import "fmt"

// describe is for messages of tests.
func describe(st Stats) string {
	return fmt.Sprintf("%+v accepted %d opened %d closed %v refused %v turned away %d rests %d pending %d dropped %v in %d out %d queue %+v",
		st.Clients, st.Accepted, st.Opened, st.Closed, st.Refused, st.TurnedAway, st.AcceptRests, st.PendingBytes, st.Dropped, st.MessagesIn, st.MessagesOut, st.Queue)
}
